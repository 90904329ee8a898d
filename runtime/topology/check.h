#pragma once
// Whether the stages of a topology fit together. Private to this folder.

#include <vector>

#include "topology/topology.h"

namespace headwater::topology {

/// Adds what is wrong with ids, edges, replicas, missing and doubled stages, and cycles. Where the gateway names no
/// stages, fills in those that take its requests.
void check_graph(const StageCatalog& catalog, Topology& topology, std::vector<Problem>& problems);

}  // namespace headwater::topology
