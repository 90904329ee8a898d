#include "cache/window.h"

#include <algorithm>

namespace headwater::cache {

std::uint32_t victims_for_one(const WindowOptions& options) {
  constexpr std::uint64_t kMost = 32;
  if (options.tokens == 0) return 1;
  const std::uint64_t full = std::max<std::uint64_t>(options.full_bytes, 1);
  return static_cast<std::uint32_t>(std::min((full + options.window_bytes + full - 1) / full, kMost));
}

std::uint64_t pool_blocks(const WindowOptions& options, const kernels::BlockGrid& grid, std::uint64_t step_tokens) {
  constexpr std::uint64_t kMostTimes = 8;  // of addresses and books for memory that there is
  const std::uint64_t whole = options.pool_bytes / (options.full_bytes + options.window_bytes);
  if (options.tokens == 0) return whole;
  // A sequence's first and last block are not full of what it sees.
  const std::uint64_t seen = (options.tokens + 2 * step_tokens + grid.tokens - 1) / grid.tokens + 2;
  const std::uint64_t windows = seen * options.window_bytes;
  if (windows >= options.pool_bytes) return whole;
  const std::uint64_t most = kMostTimes * whole;
  const std::uint64_t left = options.pool_bytes - windows;
  return std::clamp(options.full_bytes == 0 ? most : left / options.full_bytes, whole, std::max(whole, most));
}

}  // namespace headwater::cache
