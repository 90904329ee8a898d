#pragma once
// The keys of a topology file's sections, for documents; what a stage's args may be stands in the catalog.

#include <string>
#include <vector>

#include "topology/topology.h"

namespace headwater::topology {

/// Of `threads` in a topology and of --threads.
inline constexpr const char* kThreadsHelp =
    "compute threads; 0: one per core that the process may use (of two CPUs both), and no more than a CPU quota pays "
    "for";

/// Of the executor's `precision` and of --precision.
inline constexpr const char* kPrecisionHelp =
    "balanced: quantised weights as they are, activations of 16 bits; fast: of 8 bits but for logits and the "
    "first and last layer, where that is faster; exact: both as bfloat16";

struct SectionSpec {
  std::string name;  ///< "cache"; "": the top of the file
  std::string help;
  std::vector<ArgSpec> keys;
};

/// All sections. A test holds names, ranges and defaults against what the parser takes.
std::vector<SectionSpec> section_specs();

}  // namespace headwater::topology
