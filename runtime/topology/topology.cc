#include "topology/topology.h"

#include <algorithm>

namespace headwater::topology {

const Stage* Topology::find(std::string_view id) const {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const Stage& stage) { return stage.id == id; });
  return found == stages.end() ? nullptr : &*found;
}

const Stage* Topology::find_kind(std::string_view kind) const {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const Stage& stage) { return stage.kind == kind; });
  return found == stages.end() ? nullptr : &*found;
}

std::string ParseOutcome::report(std::string_view source) const {
  std::string report;
  for (const Problem& problem : problems) {
    if (problem.where.line > 0) {
      report += std::string(source) + ":" + std::to_string(problem.where.line) + ":" +
                std::to_string(problem.where.column) + ": ";
    }
    report += problem.message + "\n";
  }
  return report;
}

std::uint64_t resolve(const SizeOrShare& size, std::uint64_t memory) {
  if (size.bytes > 0) return size.bytes;
  return std::min(memory, static_cast<std::uint64_t>(static_cast<long double>(memory) * size.share));
}

}  // namespace headwater::topology
