// What PrefixCache finds where some layers have a window, and their rows may be gone.

#include <gtest/gtest.h>

#include "tests/cache/requests.h"

namespace headwater::cache {
namespace {

/// Blocks of 10 tokens, a window of 20: two blocks before a token that begins one. A pool with room for all rows of
/// `whole` blocks.
PrefixCacheOptions windowed(std::uint32_t whole) {
  PrefixCacheOptions windowed = options(32);
  windowed.window = {.tokens = 20, .full_bytes = 1, .window_bytes = 9, .pool_bytes = std::uint64_t{whole} * 10};
  return windowed;
}

/// A sequence that computes whole blocks one after the other, as the scheduler has it done.
struct Running {
  Running(PrefixCache& to, RequestId request, std::vector<TokenId> given)
      : cache(to), id(request), tokens(std::move(given)), found(cache.match(id, tokens, "", true)) {
    windows = {found.first_window, found.cached_tokens / kSize};
    published = windows.end;
    blocks = found.blocks;
  }
  /// The next block, new or once more.
  void compute() {
    const auto granted = cache.reclaim(1, {});
    ASSERT_EQ(granted.size(), 1U);
    if (windows.end < blocks.size()) {
      cache.refill(granted[0], blocks[windows.end]);
    } else {
      blocks.push_back(granted[0]);
    }
    ++windows.end;
    cache.publish(id, std::span(blocks).subspan(published, 1),
                  std::span(tokens).subspan(std::size_t{published} * kSize, kSize));
    ++published;
    const std::uint32_t first = first_in_window(published * kSize, 20, kSize);
    cache.pass(std::span(blocks).subspan(windows.first, first - windows.first));
    windows.first = first;
    EXPECT_EQ(cache.check(), "");
  }
  void end() {
    cache.release(id, blocks, {}, windows);
    EXPECT_EQ(cache.check(), "");
  }

  PrefixCache& cache;
  RequestId id;
  std::vector<TokenId> tokens;
  MatchResult found;
  std::vector<BlockId> blocks;
  WindowSpan windows;
  std::uint32_t published = 0;
};

/// A request that computes all of counting(n) and ends.
void compute_all(PrefixCache& cache, RequestId id, std::uint32_t n) {
  Running one(cache, id, counting(n));
  while (one.published < n / kSize) one.compute();
  one.end();
}

TEST(WindowMatch, EndsWhereItsWindowRowsAreThere) {
  PrefixCache cache(windowed(4));
  compute_all(cache, 1, 100);  // ten blocks take 10, so three have window rows
  const Running longer(cache, 2, counting(101));
  EXPECT_EQ(longer.found.cached_tokens, 100U);
  EXPECT_EQ(longer.found.blocks.size(), 10U);
  EXPECT_EQ(longer.found.first_window, 8U);
  EXPECT_EQ(longer.found.details.miss, CacheMiss::none);
  EXPECT_EQ(cache.check(), "");
}

TEST(WindowMatch, FindsNothingWhereAPromptEndsBeforeThemAndComputesTheBlocksOnceMore) {
  PrefixCache cache(windowed(4));
  compute_all(cache, 1, 100);
  Running shorter(cache, 2, diverging(60, 90));
  EXPECT_EQ(shorter.found.cached_tokens, 0U);
  EXPECT_EQ(shorter.found.blocks.size(), 6U);
  EXPECT_TRUE(shorter.found.refills(kSize));
  EXPECT_EQ(shorter.found.details.miss, CacheMiss::evicted);
  EXPECT_EQ(shorter.found.details.missed_tokens, 89U);
  const std::uint64_t before = cache.bytes().full;
  for (int block = 0; block < 6; ++block) shorter.compute();
  EXPECT_EQ(shorter.blocks, shorter.found.blocks);
  // In place: what is computed once more takes no second block.
  EXPECT_LE(cache.bytes().full, before + 1);
  shorter.end();
  EXPECT_EQ(cache.match(3, diverging(60, 61), "", true).cached_tokens, 60U);
}

TEST(WindowMatch, EndsBeforeWhatIsMissingInTheMiddle) {
  PrefixCache cache(windowed(32));
  compute_all(cache, 1, 100);
  // Both before 30 … 40 and before 100 all is there; the pool has room for all.
  EXPECT_EQ(cache.match(2, diverging(40, 50), "", true).cached_tokens, 40U);
  EXPECT_EQ(cache.match(3, counting(101), "", true).cached_tokens, 100U);
}

TEST(WindowMatch, KeepsTheRowsThatAMatchNeeds) {
  PrefixCache cache(windowed(4));
  compute_all(cache, 1, 100);
  Running longer(cache, 2, counting(140));
  ASSERT_EQ(longer.found.cached_tokens, 100U);
  Running other(cache, 3, diverging(0, 20));
  other.compute();  // the last that there is room for
  EXPECT_TRUE(cache.reclaim(1, {}).empty());
  other.end();
  longer.compute();
  longer.end();
}

TEST(WindowMatch, CopiesAPartOfABlockOnlyIfItsRowsAreThere) {
  PrefixCache cache(windowed(4));
  compute_all(cache, 1, 100);
  // 69 of the tokens agree: six whole blocks and most of the seventh, none with window rows.
  const MatchResult gone = cache.match(2, diverging(69, 90), "", true);
  EXPECT_EQ(gone.cached_tokens, 0U);
  EXPECT_EQ(gone.details.copied_tokens, 0U);
  // And 99, the last in a block that has its own.
  PrefixCacheOptions low = windowed(32);
  PrefixCache roomy(low);
  compute_all(roomy, 1, 100);
  const MatchResult there = roomy.match(2, diverging(99, 120), "", true);
  EXPECT_EQ(there.cached_tokens, 99U);
  EXPECT_EQ(there.details.copied_tokens, 9U);
  EXPECT_EQ(there.first_window, 7U);
}

TEST(WindowMatch, MakesRoomWithRowsThatWereLeftBehindBeforeItEvicts) {
  PrefixCache cache(windowed(4));
  compute_all(cache, 1, 100);
  EXPECT_EQ(cache.evictions()[static_cast<std::size_t>(EvictionReason::demand)], 0U);
  EXPECT_GT(cache.take_given_back().windows.size(), 6U);
}

TEST(WindowMatch, EvictsWholeBlocksWhereNothingWasLeftBehind) {
  PrefixCache cache(windowed(4));
  Running one(cache, 1, counting(100));
  while (one.published < 3) one.compute();
  one.end();
  std::vector<BlockId> evicted;
  const auto victims = std::vector<BlockId>{one.blocks[2], one.blocks[1], one.blocks[0]};
  const auto granted = cache.reclaim(3, victims, [&](const CachedBlock& block) { evicted.push_back(block.block); });
  EXPECT_EQ(granted.size(), 3U);
  EXPECT_FALSE(evicted.empty());
  EXPECT_EQ(cache.check(), "");
}

/// The end of what several prompts begin with is kept, though each went on from there.
TEST(WindowMatch, KeepsTheEndOfWhatSeveralPromptsHadToComputeOnceMore) {
  PrefixCache cache(windowed(8));
  compute_all(cache, 1, 160);
  for (RequestId id = 2; id < 5; ++id) {
    auto tokens = diverging(60, 100);
    for (std::size_t i = 60; i < tokens.size(); ++i) tokens[i] += static_cast<TokenId>(id * 1000);
    Running one(cache, id, tokens);
    EXPECT_EQ(one.found.blocks.size(), 6U);
    EXPECT_EQ(one.found.cached_tokens, id < 4 ? 0U : 60U);
    while (one.published < 10) one.compute();
    one.end();
  }
}

TEST(WindowMatch, SaysWhichBlocksCanComeBackFromATier) {
  PrefixCache cache(windowed(32));
  Running one(cache, 1, counting(100));
  while (one.published < 10) one.compute();
  EXPECT_TRUE(cache.describe(one.blocks[9]).complete);
  PrefixCache tight(windowed(4));
  Running other(tight, 1, counting(100));
  while (other.published < 10) other.compute();
  EXPECT_FALSE(tight.describe(other.blocks[9]).complete);
}

}  // namespace
}  // namespace headwater::cache
