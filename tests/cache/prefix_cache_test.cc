#include "cache/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

namespace headwater::cache {
namespace {

using Kind = Touch::Kind;

PrefixCacheOptions options(std::uint32_t total_blocks, bool enabled = true) {
  PrefixCacheOptions options;
  options.total_blocks = total_blocks;
  options.grid = 4;
  options.enabled = enabled;
  return options;
}

std::vector<TokenId> counting(std::size_t n, TokenId first = 0) {
  std::vector<TokenId> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// Computes and publishes the whole blocks of `tokens`; returns the request's blocks.
std::vector<BlockId> fill(PrefixCache& cache, RequestId id, const std::vector<TokenId>& tokens,
                          std::string_view salt = "") {
  auto blocks = cache.match(id, tokens, salt, true).blocks;
  const std::size_t known = blocks.size(), full = tokens.size() / 4;
  const auto granted = cache.reclaim(static_cast<std::uint32_t>(full - known), {});
  blocks.insert(blocks.end(), granted.begin(), granted.end());
  cache.publish(id, granted, std::span(tokens).subspan(known * 4, granted.size() * 4));
  return blocks;
}

void expect_counts(const PrefixCache& cache, std::uint64_t free, std::uint64_t active, std::uint64_t cached) {
  EXPECT_EQ(cache.counts().free, free);
  EXPECT_EQ(cache.counts().active, active);
  EXPECT_EQ(cache.counts().cached, cached);
  EXPECT_EQ(cache.check(), "");
}

TEST(PrefixCache, FindsTheLongestChainOfWholeBlocks) {
  PrefixCache cache(options(8));
  const auto blocks = fill(cache, 1, counting(12));
  auto longer = counting(10);
  longer.push_back(99);
  const MatchResult found = cache.match(2, longer, "", true);
  EXPECT_EQ(found.blocks, std::vector<BlockId>(blocks.begin(), blocks.begin() + 2));
  EXPECT_EQ(found.cached_tokens, 8U);
  EXPECT_EQ(found.details, (CacheDetails{0, CacheSource::memory, CacheMiss::below_threshold, 2}));
}

TEST(PrefixCache, LeavesTheLastTokenToBeComputed) {
  PrefixCache cache(options(8));
  fill(cache, 1, counting(12));
  EXPECT_EQ(cache.match(2, counting(12), "", true).cached_tokens, 8U);
  EXPECT_EQ(cache.match(3, counting(13), "", true).cached_tokens, 12U);
  EXPECT_EQ(cache.match(4, counting(1), "", true).cached_tokens, 0U);
  EXPECT_EQ(cache.match(5, {}, "", true).cached_tokens, 0U);
}

TEST(PrefixCache, FindsNothingBehindADifferentBeginning) {
  PrefixCache cache(options(8));
  fill(cache, 1, counting(12));
  auto other = counting(13);
  other[0] = 77;
  EXPECT_EQ(cache.match(2, other, "", true).cached_tokens, 0U);
}

TEST(PrefixCache, NeverSharesBetweenTenants) {
  PrefixCache cache(options(8));
  fill(cache, 1, counting(8), "a");
  EXPECT_EQ(cache.match(2, counting(9), "b", true).cached_tokens, 0U);
  EXPECT_EQ(cache.match(3, counting(9), "", true).cached_tokens, 0U);
  EXPECT_EQ(cache.match(4, counting(9), "a", true).cached_tokens, 8U);
}

TEST(PrefixCache, MovesBlocksFromFreeToActiveToCachedAndBack) {
  PrefixCache cache(options(4));
  expect_counts(cache, 4, 0, 0);
  const auto blocks = fill(cache, 1, counting(8));
  expect_counts(cache, 2, 2, 0);
  cache.release(1, blocks);
  expect_counts(cache, 2, 0, 2);
  const auto again = cache.match(2, counting(9), "", true).blocks;
  expect_counts(cache, 2, 2, 0);
  cache.release(2, again);
  const auto granted = cache.reclaim(3, std::vector<BlockId>{blocks[1], blocks[0]});
  EXPECT_EQ(granted.size(), 3U);
  EXPECT_EQ(granted.back(), blocks[1]);
  EXPECT_EQ(cache.evictions()[static_cast<std::size_t>(EvictionReason::demand)], 1U);
  expect_counts(cache, 0, 3, 1);
  cache.give_back(granted);
  expect_counts(cache, 3, 0, 1);
}

TEST(PrefixCache, KeepsABlockUntilItsLastReaderIsGone) {
  PrefixCache cache(options(4));
  const auto blocks = fill(cache, 1, counting(8));
  const auto shared = cache.match(2, counting(9), "", true).blocks;
  EXPECT_EQ(shared, blocks);
  cache.release(1, blocks);
  expect_counts(cache, 2, 2, 0);
  EXPECT_EQ(cache.reclaim(4, blocks).size(), 2U);
  cache.release(2, shared);
  expect_counts(cache, 0, 2, 2);
}

TEST(PrefixCache, TakesNoVictimThatIsInUseOrHasAnIndexedChild) {
  PrefixCache cache(options(2));
  const auto blocks = fill(cache, 1, counting(8));
  EXPECT_TRUE(cache.reclaim(2, blocks).empty());
  cache.release(1, blocks);
  EXPECT_TRUE(cache.reclaim(1, std::vector<BlockId>{blocks[0]}).empty());
  EXPECT_EQ(cache.reclaim(2, std::vector<BlockId>{blocks[1], blocks[0]}).size(), 2U);
  EXPECT_EQ(cache.check(), "");
}

TEST(PrefixCache, FreesWhatWasNeverPublished) {
  PrefixCache cache(options(4));
  cache.match(1, counting(4), "", true);
  const auto blocks = cache.reclaim(2, {});
  cache.release(1, blocks);
  expect_counts(cache, 4, 0, 0);
  EXPECT_TRUE(cache.take_touches().empty());
}

TEST(PrefixCache, KeepsTheSecondOfTwoEqualChainsPrivate) {
  PrefixCache cache(options(8));
  const auto tokens = counting(12);
  cache.match(1, tokens, "", true);
  cache.match(2, tokens, "", true);
  const auto first = cache.reclaim(2, {}), second = cache.reclaim(3, {});
  cache.publish(1, first, std::span(tokens).first(8));
  cache.publish(2, second, tokens);
  cache.release(2, second);
  expect_counts(cache, 6, 2, 0);
  EXPECT_EQ(cache.match(3, counting(13), "", true).blocks, first);
}

TEST(PrefixCache, PublishesForARequestThatReadsNothing) {
  PrefixCache cache(options(8));
  const auto first = fill(cache, 1, counting(8));
  EXPECT_EQ(cache.match(2, counting(9), "", false).cached_tokens, 0U);
  const auto other = counting(8, 50);
  cache.match(3, other, "", false);
  const auto blocks = cache.reclaim(2, {});
  cache.publish(3, blocks, other);
  EXPECT_EQ(cache.match(4, counting(9, 50), "", true).blocks, blocks);
}

TEST(PrefixCache, FindsAndIndexesNothingWhenItIsOff) {
  PrefixCache cache(options(4, false));
  const auto blocks = fill(cache, 1, counting(8));
  EXPECT_EQ(cache.match(2, counting(9), "", true).cached_tokens, 0U);
  cache.release(1, blocks);
  expect_counts(cache, 4, 0, 0);
}

TEST(PrefixCache, TellsWhatHappenedToIndexedBlocksInOrder) {
  PrefixCache cache(options(4));
  const auto blocks = fill(cache, 1, counting(8));
  cache.release(1, blocks);
  cache.match(2, counting(5), "", true);
  cache.release(2, std::vector<BlockId>{blocks[0]});
  cache.reclaim(3, std::vector<BlockId>{blocks[1]});
  const auto touches = cache.take_touches();
  const std::vector<std::pair<Kind, BlockId>> expected{
      {Kind::published, blocks[0]}, {Kind::published, blocks[1]}, {Kind::idle, blocks[1]},     {Kind::idle, blocks[0]},
      {Kind::busy, blocks[0]},      {Kind::idle, blocks[0]},      {Kind::forgotten, blocks[1]}};
  ASSERT_EQ(touches.size(), expected.size());
  for (std::size_t i = 0; i < touches.size(); ++i) {
    EXPECT_EQ(std::pair(touches[i].kind, touches[i].block), expected[i]) << i;
  }
  EXPECT_EQ(touches[0].parent, -1);
  EXPECT_EQ(touches[1].parent, blocks[0]);
  EXPECT_EQ(touches[1].depth, 1U);
  EXPECT_TRUE(cache.take_touches().empty());
}

TEST(PrefixCache, ThrowsWhenTheBooksAreWrong) {
  PrefixCache cache(options(4));
  const auto blocks = fill(cache, 1, counting(8));
  EXPECT_THROW(cache.give_back(blocks), std::logic_error);
  EXPECT_THROW(cache.release(9, std::vector<BlockId>{3}), std::logic_error);
  EXPECT_THROW(cache.release(9, std::vector<BlockId>{4}), std::logic_error);
  EXPECT_THROW(cache.release(9, std::vector<BlockId>{-1}), std::logic_error);
  const auto tokens = counting(8);
  EXPECT_THROW(cache.publish(1, blocks, std::span(tokens).first(7)), std::logic_error);
  EXPECT_THROW(cache.publish(1, std::vector<BlockId>{3}, counting(4, 8)), std::logic_error);
  cache.publish(7, blocks, tokens);  // unknown: ignored
  EXPECT_EQ(cache.check(), "");
}

TEST(PrefixCache, ForgetsEverythingAtAReset) {
  PrefixCache cache(options(4));
  fill(cache, 1, counting(8));
  cache.reset();
  expect_counts(cache, 4, 0, 0);
  EXPECT_TRUE(cache.take_touches().empty());
  EXPECT_EQ(cache.match(1, counting(9), "", true).cached_tokens, 0U);
  EXPECT_EQ(cache.reclaim(9, {}).size(), 4U);
}

}  // namespace
}  // namespace headwater::cache
