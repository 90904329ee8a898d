#pragma once
// What prompts found in the prefix cache, over all requests. Each counts once, with what it found when it was started
// first: matches that were repeated while it waited, or after a preemption, do not count.

#include <array>
#include <cstdint>

#include "headwater/cache_insight.h"
#include "kernels/block_grid.h"

namespace headwater::schedule {

struct PrefixCounters {
  // Of requests that were looked up. Blocks are whole ones, short of the last token.
  std::uint64_t query_tokens = 0, query_blocks = 0;
  std::uint64_t hit_tokens = 0, hit_blocks = 0;
  std::uint64_t copied_tokens = 0;                                    ///< of hit_tokens
  std::array<std::uint64_t, kCacheMissNames.size()> missed_tokens{};  ///< by CacheMiss, also of those bypassed
  std::uint64_t ghost_hits = 0;  ///< requests that missed first what had been evicted

  /// REQUIRES: cached_tokens < prompt_tokens.
  void add(std::uint32_t prompt_tokens, std::uint32_t cached_tokens, const CacheDetails& details,
           const kernels::BlockGrid& grid) {
    missed_tokens[static_cast<std::size_t>(details.miss)] += details.missed_tokens;
    if (details.miss == CacheMiss::bypassed) return;
    if (details.miss == CacheMiss::evicted || details.miss == CacheMiss::expired) ++ghost_hits;
    query_tokens += prompt_tokens;
    query_blocks += grid.whole(prompt_tokens - 1);
    hit_tokens += cached_tokens;
    hit_blocks += grid.whole(cached_tokens - details.copied_tokens);
    copied_tokens += details.copied_tokens;
  }
};

}  // namespace headwater::schedule
