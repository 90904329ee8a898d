// What the prefix cache tells a slower tier: the names of blocks that it has, gives up, or lacks.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "cache/prefix_cache.h"

namespace headwater::cache {
namespace {

constexpr std::uint32_t kSize = 4;

class TierNames : public testing::Test {
 protected:
  TierNames() : cache_({.total_blocks = 8, .grid = kSize, .enabled = true, .match_threshold = 0.8, .context = {}}) {
    std::iota(tokens_.begin(), tokens_.end(), 0);
  }

  /// Computes and publishes the whole blocks of the tokens, and lets go of them.
  std::vector<BlockId> fill(RequestId id, std::span<const TokenId> tokens, std::string_view salt = "") {
    cache_.match(id, tokens, salt, false);
    const auto blocks = cache_.reclaim(static_cast<std::uint32_t>(tokens.size() / kSize), {});
    cache_.publish(id, blocks, tokens.first(blocks.size() * kSize));
    cache_.release(id, blocks);
    return blocks;
  }

  PrefixCache cache_;
  std::vector<TokenId> tokens_ = std::vector<TokenId>(14);
};

TEST_F(TierNames, AreThoseUnderWhichTheBlocksWerePublished) {
  const auto blocks = fill(1, tokens_);
  ASSERT_EQ(blocks.size(), 3U);
  Key parent = root_key({}, "", "");
  for (std::uint32_t i = 0; i < 3; ++i) {
    const CachedBlock block = cache_.describe(blocks[i]);
    const auto tokens = std::span(tokens_).subspan(i * kSize, kSize);
    EXPECT_EQ(block.parent, parent);
    EXPECT_EQ(block.key, block_key(parent, tokens));
    EXPECT_TRUE(std::ranges::equal(block.tokens, tokens));
    EXPECT_EQ(block.depth, i);
    EXPECT_EQ(block.name(), (BlockName{block.key, parent, {tokens.begin(), tokens.end()}}));
    parent = block.key;
  }
  EXPECT_THROW(cache_.describe(7), std::logic_error);
}

TEST_F(TierNames, SayWhetherABlockWasMatchedSinceItWasPublished) {
  const auto blocks = fill(1, tokens_);
  EXPECT_FALSE(cache_.describe(blocks[0]).matched);
  EXPECT_TRUE(cache_.idle(blocks[0]));
  const auto found = cache_.match(2, std::span(tokens_).first(10), "", true);
  EXPECT_EQ(found.blocks.size(), 2U);
  EXPECT_TRUE(cache_.describe(blocks[1]).matched);
  EXPECT_FALSE(cache_.describe(blocks[2]).matched);
  EXPECT_FALSE(cache_.idle(blocks[1]));
  EXPECT_TRUE(cache_.idle(blocks[2]));
}

TEST_F(TierNames, AreToldOfBlocksThatAreEvictedAndNoOthers) {
  const auto blocks = fill(1, tokens_);
  std::vector<BlockName> expected = {cache_.describe(blocks[2]).name(), cache_.describe(blocks[1]).name()};
  std::vector<BlockName> told;
  const std::vector<BlockId> victims = {blocks[0], blocks[2], blocks[1]};  // the first still has a child
  const auto granted = cache_.reclaim(7, victims, [&](const CachedBlock& block) { told.push_back(block.name()); });
  EXPECT_EQ(granted.size(), 7U);
  EXPECT_EQ(told, expected);
  EXPECT_EQ(cache_.check(), "");
}

TEST_F(TierNames, AreThoseOfTheBlocksThatFollowTheOnesFound) {
  const auto blocks = fill(1, tokens_);
  std::vector<BlockName> names;
  for (BlockId block : blocks) names.push_back(cache_.describe(block).name());
  const auto all = [](const Key&) { return true; };

  PrefixCache empty({.total_blocks = 8, .grid = kSize, .context = {}});
  empty.match(1, tokens_, "", true);
  EXPECT_EQ(empty.beyond(1, tokens_, all), names);
  EXPECT_EQ(empty.beyond(1, std::span(tokens_).first(12), all).size(), 2U) << "the last token is computed";
  EXPECT_EQ(empty.beyond(1, tokens_, [&](const Key& key) { return key != names[1].key; }).size(), 1U);
  EXPECT_TRUE(empty.beyond(9, tokens_, all).empty()) << "an unknown request";
  empty.match(2, tokens_, "tenant", true);
  EXPECT_NE(empty.beyond(2, tokens_, all), names);

  // Where memory has the beginning, only the rest is named.
  cache_.reclaim(7, std::vector<BlockId>{blocks[2]});
  ASSERT_EQ(cache_.match(3, tokens_, "", true).cached_tokens, 8U);
  EXPECT_EQ(cache_.beyond(3, tokens_, all), std::vector<BlockName>{names[2]});

  PrefixCache off({.total_blocks = 8, .grid = kSize, .enabled = false, .context = {}});
  off.match(1, tokens_, "", true);
  EXPECT_TRUE(off.beyond(1, tokens_, all).empty());
}

TEST_F(TierNames, OfRestoredBlocksCountAsFoundInPlaceOfABlockThatAgreesInPart) {
  auto begun = std::vector<TokenId>(tokens_.begin(), tokens_.begin() + 7);
  begun.push_back(99);  // of the second block three tokens agree
  for (const std::uint32_t restored : {1U, 2U}) {
    const RequestId id = 10 + restored;
    PrefixCacheOptions any{.total_blocks = 8, .grid = kSize, .match_threshold = 0, .context = {}};
    PrefixCache cache(any);
    cache.match(1, begun, "", true);
    const auto blocks = cache.reclaim(2, {});
    cache.publish(1, blocks, begun);
    cache.release(1, blocks);
    MatchResult found = cache.match(id, tokens_, "", true);
    ASSERT_EQ(found.cached_tokens, 7U);
    ASSERT_EQ(found.blocks, blocks);
    cache.add_restored(found, id, tokens_, restored);
    EXPECT_EQ(found.blocks, std::vector<BlockId>{blocks[0]});
    EXPECT_EQ(found.cached_tokens, 4U);
    EXPECT_EQ(found.details.source, CacheSource::disk);
    EXPECT_EQ(found.details.copied_tokens, 0U);
    EXPECT_EQ(found.details.missed_tokens, 13 - 4 * (1 + restored));
    EXPECT_EQ(found.details.miss, CacheMiss::never_seen);
    EXPECT_TRUE(cache.idle(blocks[1])) << "the part is released";
    EXPECT_EQ(cache.check(), "");
  }
}

}  // namespace
}  // namespace headwater::cache
