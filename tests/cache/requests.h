#pragma once
// Requests to a prefix cache, for its tests.

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

#include "cache/prefix_cache.h"

namespace headwater::cache {

inline constexpr std::uint32_t kSize = 10;  // tokens of a block: shares are tenths

inline PrefixCacheOptions options(std::uint32_t total_blocks, double threshold = 0.8) {
  PrefixCacheOptions options;
  options.total_blocks = total_blocks;
  options.grid = kSize;
  options.match_threshold = threshold;
  return options;
}

inline std::vector<TokenId> counting(std::size_t n, TokenId first = 0) {
  std::vector<TokenId> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// `same` tokens of counting(), then others up to `n`.
inline std::vector<TokenId> diverging(std::size_t same, std::size_t n) {
  auto tokens = counting(n, 1000);
  std::iota(tokens.begin(), tokens.begin() + std::ptrdiff_t(same), 0);
  return tokens;
}

/// A request that computes all of `tokens` and ends; its blocks.
inline std::vector<BlockId> serve(PrefixCache& cache, RequestId id, const std::vector<TokenId>& tokens,
                                  std::string_view salt = "", const kernels::BlockGrid& grid = kSize) {
  const MatchResult found = cache.match(id, tokens, salt, true);
  const auto n = static_cast<std::uint32_t>(tokens.size());
  const std::uint32_t whole = grid.whole(found.cached_tokens), full = grid.whole(n);
  std::vector<BlockId> blocks(found.blocks.begin(), found.blocks.begin() + std::ptrdiff_t(whole));
  const auto own = cache.reclaim(grid.covering(n) - whole, {});
  blocks.insert(blocks.end(), own.begin(), own.end());
  if (found.blocks.size() > whole) cache.release_copied(std::span(found.blocks).last(1));
  cache.publish(id, std::span(own).first(full - whole),
                std::span(tokens).subspan(grid.begin(whole), grid.begin(full) - grid.begin(whole)));
  cache.release(id, blocks, std::span(tokens).subspan(grid.begin(full)));
  EXPECT_EQ(cache.check(), "");
  return blocks;
}

}  // namespace headwater::cache
