// What the prefix cache finds where the first block of a sequence holds half as many tokens as the others.

#include <gtest/gtest.h>

#include "cache/size_advisor.h"
#include "tests/cache/requests.h"

namespace headwater::cache {
namespace {

constexpr kernels::BlockGrid kGrid{kSize, kSize / 2};  // 0 … 4, 5 … 14, 15 … 24

PrefixCacheOptions halved(std::uint32_t total_blocks, double threshold = 0.8) {
  PrefixCacheOptions halved = options(total_blocks, threshold);
  halved.grid = kGrid;
  halved.retention.max_pinned = total_blocks;
  return halved;
}

class FirstBlock : public testing::Test {
 protected:
  std::vector<BlockId> serve(const std::vector<TokenId>& tokens) {
    return cache::serve(cache_, ++last_, tokens, "", kGrid);
  }
  MatchResult look_up(const std::vector<TokenId>& tokens) {
    MatchResult found = cache_.match(++last_, tokens, "", true);
    EXPECT_EQ(found.cached_tokens + found.details.missed_tokens + 1, tokens.size());
    EXPECT_EQ(found.blocks.size(), kGrid.covering(found.cached_tokens));
    for (std::size_t i = 0; i < found.blocks.size(); ++i) EXPECT_EQ(cache_.describe(found.blocks[i]).depth, i);
    cache_.release(last_, found.blocks);
    EXPECT_EQ(cache_.check(), "");
    return found;
  }

  PrefixCache cache_{halved(8)};
  RequestId last_ = 0;
};

TEST_F(FirstBlock, IsPublishedUnderTheTokensThatItHolds) {
  const auto blocks = serve(counting(16));
  ASSERT_EQ(blocks.size(), 3U);
  Key parent = cache_.root("", "");
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto tokens = counting(i < 2 ? kGrid.size(i) : 1, static_cast<TokenId>(kGrid.begin(i)));
    const CachedBlock block = cache_.describe(blocks[i]);
    EXPECT_EQ(block.name(), (BlockName{block_key(parent, tokens), parent, tokens}));
    EXPECT_EQ(block.depth, i);
    parent = block.key;
  }
}

TEST_F(FirstBlock, IsFoundWholeByPromptsThatGoBeyondItAndInPartByOthers) {
  serve(counting(40));
  EXPECT_EQ(look_up(counting(1)).cached_tokens, 0U);
  for (std::uint32_t n = 5; n <= 36; ++n) {
    const std::uint32_t whole = kGrid.begin(kGrid.whole(n - 1));
    const bool enough = n - 1 - whole >= 8 || (whole == 0 && n - 1 >= 4);
    const MatchResult found = look_up(counting(n));
    EXPECT_EQ(found.cached_tokens, enough ? n - 1 : whole) << n;
    EXPECT_EQ(found.details.copied_tokens, found.cached_tokens - whole) << n;
  }
}

TEST_F(FirstBlock, IsReusedInPartWhereAPromptDivergesWithinItByTheTokensThatItHolds) {
  serve(counting(40));
  EXPECT_EQ(look_up(diverging(3, 30)).cached_tokens, 0U) << "three of five are not 0.8";
  EXPECT_EQ(look_up(diverging(3, 30)).details.miss, CacheMiss::below_threshold);
  const MatchResult four = look_up(diverging(4, 30));
  EXPECT_EQ(four.cached_tokens, 4U);
  EXPECT_EQ(four.details, (CacheDetails{4, CacheSource::memory, CacheMiss::never_seen, 25}));
  EXPECT_EQ(look_up(diverging(5, 30)).cached_tokens, 5U);
  EXPECT_EQ(look_up(diverging(12, 30)).cached_tokens, 5U) << "seven of ten";
  EXPECT_EQ(look_up(diverging(13, 30)).cached_tokens, 13U);
}

TEST_F(FirstBlock, MayBeATail) {
  const auto blocks = serve(counting(3));
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(cache_.describe(blocks[0]).tokens.size(), 3U);
  EXPECT_EQ(look_up(counting(30)).cached_tokens, 3U);
  EXPECT_EQ(look_up(counting(3)).cached_tokens, 0U) << "two of three";
  serve(counting(5));
  EXPECT_EQ(cache_.counts().cached, 2U);
  EXPECT_EQ(look_up(counting(30)).cached_tokens, 5U);
  cache_.match(++last_, counting(5, 50), "", true);
  const auto own = cache_.reclaim(1, {});
  EXPECT_THROW(cache_.release(last_, own, counting(5, 50)), std::logic_error) << "five fill it";
}

/// Their bytes are those of another form: what stands in one can never be read in the place of the other.
TEST(FirstBlocks, AreNeverTakenForOthersThatHoldTheSameTokens) {
  PrefixCache cache(halved(8, 0));
  std::vector<TokenId> tokens = counting(5, 500);
  const auto same = counting(5);
  tokens.insert(tokens.end(), same.begin(), same.end());
  serve(cache, 1, tokens, "", kGrid);  // the second block holds 0 … 4
  EXPECT_EQ(cache.match(2, counting(9), "", true).cached_tokens, 0U);
  serve(cache, 3, counting(8), "", kGrid);  // and now a first one
  std::vector<TokenId> twice = same;
  twice.insert(twice.end(), same.begin(), same.end());
  const MatchResult found = cache.match(4, twice, "", true);
  EXPECT_EQ(found.cached_tokens, 5U);
  EXPECT_EQ(found.blocks.size(), 1U);
  cache.release(4, found.blocks);
  EXPECT_EQ(cache.check(), "");
}

TEST_F(FirstBlock, IsRememberedAsEvicted) {
  const auto blocks = serve(counting(15));
  auto free = cache_.reclaim(6, {});
  cache_.give_back(cache_.reclaim(1, std::vector<BlockId>{blocks[1]}));
  EXPECT_EQ(look_up(counting(16)).details, (CacheDetails{0, CacheSource::memory, CacheMiss::evicted, 10}));
  free.push_back(cache_.reclaim(1, {}).at(0));
  cache_.give_back(cache_.reclaim(1, std::vector<BlockId>{blocks[0]}));
  cache_.give_back(free);
  EXPECT_EQ(look_up(counting(6)).details, (CacheDetails{0, CacheSource::none, CacheMiss::evicted, 5}));
  auto other = counting(6);
  other[4] = 77;
  EXPECT_EQ(look_up(other).details.miss, CacheMiss::never_seen);
}

TEST_F(FirstBlock, CanBeRestoredFromATier) {
  const auto tokens = counting(17);
  std::vector<BlockName> names;
  for (const BlockId block : serve(counting(15))) names.push_back(cache_.describe(block).name());
  const auto all = [](const Key&) { return true; };
  PrefixCache empty(halved(8));
  for (const std::uint32_t restored : {1U, 2U}) {
    MatchResult found = empty.match(restored, tokens, "", true);
    EXPECT_EQ(empty.beyond(restored, tokens, all), names);
    empty.add_restored(found, restored, tokens, restored);
    EXPECT_EQ(found.cached_tokens, 0U);
    EXPECT_EQ(found.details, (CacheDetails{0, CacheSource::disk, CacheMiss::never_seen, restored == 1 ? 11U : 1U}));
    const auto own = empty.reclaim(restored, {});
    empty.publish(restored, own, std::span(tokens).first(kGrid.begin(restored)));
    empty.release(restored, own);
    EXPECT_EQ(empty.check(), "");
    empty.reset();
  }
  EXPECT_EQ(empty.match(3, tokens, "", true).cached_tokens, 0U);
  EXPECT_EQ(empty.beyond(3, std::span(tokens).first(15), all).size(), 1U) << "the last token is computed";
}

TEST_F(FirstBlock, IsPinnedAndUnpinnedByThePromptsThatReadIt) {
  serve(counting(16));
  const CacheOwner owner{tenant_digest(""), ""};
  EXPECT_EQ(cache_.pin(counting(6), owner, kNever).blocks, 1U);
  EXPECT_EQ(cache_.pin(counting(16), owner, kNever).tokens, 15U);
  EXPECT_EQ(cache_.status().pinned, 2U);
  EXPECT_EQ(cache_.status().tokens, 16U);
  cache_.unpin(counting(16), owner);
  EXPECT_EQ(cache_.status().pinned, 0U);
  EXPECT_EQ(cache_.check(), "");
}

TEST_F(FirstBlock, IsNoLongerPinnedForARequestThatGoesOnWhereAPromptEnds) {
  Keep keep;
  keep.pin = kNever;
  cache_.match(1, counting(16), "", true, keep);
  const auto blocks = cache_.reclaim(3, {});
  cache_.publish(1, std::span(blocks).first(2), counting(15));
  cache_.release(1, blocks, counting(1, 15));
  EXPECT_EQ(cache_.status().pinned, 3U);
  auto other = counting(12);
  other[11] = 77;
  cache_.unpin(other, {tenant_digest(""), ""});
  EXPECT_EQ(cache_.status().pinned, 3U);
  cache_.unpin(counting(12), {tenant_digest(""), ""});
  EXPECT_EQ(cache_.status().pinned, 0U);
}

TEST_F(FirstBlock, CountsAsOneWhereTheCachesSizeIsJudged) {
  SizeAdvisor advisor(8, kGrid, "lru");
  for (const std::uint32_t n : {16U, 6U, 5U}) {  // two, one, none: the last token is computed
    advisor.look_up(cache_.root("", ""), counting(n));
    serve(counting(n));
    advisor.on_touches(cache_.take_touches());
  }
  EXPECT_EQ(advisor.advise(1000).looked_up_blocks, 3U);
  EXPECT_DOUBLE_EQ(advisor.advise(1000).sizes[2].hit_rate, 1.0 / 3);
}

TEST(FirstBlocks, AreInAWindowAsLongAsATokenOfTheirsIsSeen) {
  EXPECT_EQ(first_in_window(7, 4, kGrid), 0U);  // sees 4
  EXPECT_EQ(first_in_window(8, 4, kGrid), 1U);
  EXPECT_EQ(first_in_window(17, 4, kGrid), 1U);
  EXPECT_EQ(first_in_window(18, 4, kGrid), 2U);
}

TEST(FirstBlocks, LoseTheirWindowRowsWithTheTokensThatTheyHold) {
  PrefixCacheOptions windowed = halved(32);
  windowed.window = {.tokens = 10, .full_bytes = 1, .window_bytes = 9, .pool_bytes = 1000};
  PrefixCache cache(windowed);
  const auto tokens = counting(26);
  cache.match(1, tokens, "", true);
  const auto blocks = cache.reclaim(3, {});
  cache.publish(1, blocks, std::span(tokens).first(25));
  const std::uint32_t first = first_in_window(25, 10, kGrid);
  EXPECT_EQ(first, 2U);  // 16 … 25
  cache.pass(std::span(blocks).first(first));
  cache.release(1, blocks, {}, {first, 3});
  EXPECT_EQ(cache.check(), "");
  const MatchResult found = cache.match(2, tokens, "", true);
  EXPECT_EQ(found.cached_tokens, 25U);
  EXPECT_EQ(found.first_window, 2U);
  EXPECT_FALSE(found.refills(kGrid));
  cache.release(2, found.blocks, {}, {found.first_window, 3});
  EXPECT_EQ(cache.check(), "");
}

}  // namespace
}  // namespace headwater::cache
