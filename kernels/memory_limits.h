#pragma once
// How much memory this process may still take, and who says so: the machine, each control group on the way up (v1 and
// v2), and the limits of the process (`ulimit -v`, `ulimit -d`).

#include <sys/resource.h>

#include <cstdint>
#include <string>
#include <vector>

namespace headwater::kernels {

struct MemoryLimit {
  /// What the bound is held against.
  enum class Counts : std::uint8_t {
    used,      ///< pages that have been touched
    reserved,  ///< all addresses that are asked for, touched or not; threads' stacks count whole
  };
  std::string whose;            ///< "the machine", "the control group /a/b (memory.max)", "ulimit -v"
  std::uint64_t limit = 0;      ///< bytes in all
  std::uint64_t available = 0;  ///< bytes that are not taken; page cache that can be given back is not taken
  Counts counts = Counts::used;
};

/// Where limits are read from.
struct MemorySources {
  std::string root;  ///< stands before /proc and /sys; empty but in tests
  rlim_t address_space = RLIM_INFINITY;
  rlim_t data = RLIM_INFINITY;

  /// This process's.
  static MemorySources own();
};

/// All limits that are known; one that cannot be read is left out.
std::vector<MemoryLimit> memory_limits(const MemorySources& sources = MemorySources::own());

/// The one with the least available. Where nothing is known: no limit, "the machine".
MemoryLimit least_available(const std::vector<MemoryLimit>& limits);

}  // namespace headwater::kernels
