#pragma once
// What a topology takes of memory, held against what there is before any of it is allocated: a server that is killed
// under load has no words.

#include <cstdint>
#include <string>
#include <vector>

#include "headwater/result.h"
#include "kernels/memory_limits.h"

namespace headwater::actors {

/// Bytes.
struct MemoryPlan {
  std::uint64_t weights = 0;
  std::uint64_t cache = 0;  ///< the KV arena
  /// Of the arena, beyond what it may take of memory: where layers have windows, most blocks have no window rows.
  std::uint64_t unused_addresses = 0;
  std::uint64_t tier = 0;    ///< blocks on their way to and from a disk; grows with the cache
  std::uint64_t work = 0;    ///< activations and logits of a step, and what a process takes besides
  std::uint64_t stacks = 0;  ///< of threads: addresses, hardly any of which are touched

  std::uint64_t total(kernels::MemoryLimit::Counts counts) const;
};

/// Holds the plan against each limit. Error "unavailable": what it takes, what there is and whose limit that is, and
/// the cache_size_limit that would fit.
Result<void> check_memory(const MemoryPlan& plan, const std::vector<kernels::MemoryLimit>& limits);

/// Error "unavailable": the system does not let this process start `n` more threads; says how many, and whose limit
/// it may be.
Result<void> check_threads(unsigned n);

/// "1.5 GiB", "700 MiB", for a person.
std::string readable_size(std::uint64_t bytes);

}  // namespace headwater::actors
