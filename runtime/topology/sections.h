#pragma once
// The keys of a topology file's sections, for documents; what a stage's args may be stands in the catalog.

#include <string>
#include <vector>

#include "topology/topology.h"

namespace headwater::topology {

struct SectionSpec {
  std::string name;  ///< "cache"; "": the top of the file
  std::string help;
  std::vector<ArgSpec> keys;
};

/// All sections. A test holds names, ranges and defaults against what the parser takes.
std::vector<SectionSpec> section_specs();

}  // namespace headwater::topology
