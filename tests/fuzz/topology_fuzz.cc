// A topology file: whatever its text, it is a checked topology, which can be drawn, or a list of mistakes.

#include <cstdlib>
#include <string_view>

#include "topology/topology.h"

namespace topology = headwater::topology;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const topology::StageCatalog catalog = topology::builtin_catalog();
  const std::string_view yaml(reinterpret_cast<const char*>(data), size);
  const auto outcome = topology::parse(yaml, "fuzz.yaml", catalog);
  if (outcome.topology.has_value() != outcome.problems.empty()) std::abort();
  if (outcome.report("fuzz.yaml").empty() != outcome.problems.empty()) std::abort();
  if (!outcome.topology) return 0;
  if (topology::to_mermaid(*outcome.topology).empty() || topology::to_graphviz(*outcome.topology).empty()) std::abort();
  return 0;
}
