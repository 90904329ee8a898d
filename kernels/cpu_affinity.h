#pragma once
// On which CPUs threads may run. CPUs have the system's numbers; there may be more than 1,024.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace headwater::kernels {

/// Ascending, none twice.
using CpuList = std::vector<unsigned>;

/// "0-3,8" as the system writes lists. "" is an empty one; none: it is no list, or has numbers that no CPU has.
std::optional<CpuList> parse_cpu_list(std::string_view text);

/// Where the calling thread may run; empty: the system does not say.
CpuList affinity();

/// Lets the calling thread run on those alone, and what it starts from then on. False, and nothing changes: the system
/// refuses, as where none of them is there.
bool set_affinity(std::span<const unsigned> cpus);

}  // namespace headwater::kernels
