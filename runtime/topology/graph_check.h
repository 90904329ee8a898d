#pragma once
// The checks that look at more than one stage: edges, feedback, cycles, what is missing.

#include <vector>

#include "topology/document.h"
#include "topology/topology.h"

namespace headwater::topology {

/// A name in a `to` or `feedback` list.
struct Edge {
  std::string target;
  Location where;
};

/// A stage as the file has it, before its edges are known to be right.
struct StageDraft {
  Stage stage;                      ///< its id is empty where the file gives none that can be used
  const StageInfo* info = nullptr;  ///< null: unknown kind or implementation, reported already
  std::vector<Edge> to;
  std::vector<Edge> feedback;
  bool to_broken = false;  ///< there is a `to` that cannot be read, reported already
};

struct GraphDraft {
  std::vector<StageDraft> stages;
  std::vector<Edge> gateway_to;
  bool has_gateway = false;
  Location stages_where;
  Location gateway_where;
};

/// The sink of answers and the source of requests, in every topology.
inline constexpr const char* kGateway = "gateway";
inline constexpr const char* kRequestMessage = "generate_request";
inline constexpr const char* kAnswerMessage = "token_events";

void check_graph(const GraphDraft& graph, const StageCatalog& catalog, Problems& problems);

}  // namespace headwater::topology
