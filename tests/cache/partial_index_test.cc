#include "cache/partial_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>

namespace headwater::cache {
namespace {

Key key(std::uint8_t first) { return Key{first}; }

class PartialIndexTest : public testing::Test {
 protected:
  void add(BlockId block, std::vector<TokenId> tokens, std::uint8_t parent = 1) {
    std::vector<TokenId>& kept = tokens_[block] = std::move(tokens);
    index_.add(key(parent), block, kept);
  }
  PartialIndex::Found best(const std::vector<TokenId>& next, double threshold, std::uint8_t parent = 1) const {
    return index_.best(key(parent), next, threshold);
  }

  std::map<BlockId, std::vector<TokenId>> tokens_;
  PartialIndex index_;
};

TEST_F(PartialIndexTest, FindsTheBlockThatBeginsWithMost) {
  add(0, {1, 2, 3, 4});
  add(1, {1, 2, 9, 9});
  add(2, {1, 2, 3, 9});
  EXPECT_EQ(best({1, 2, 3, 4, 5}, 0).block, 0);
  EXPECT_EQ(best({1, 2, 3, 4, 5}, 0).tokens, 4U);
  EXPECT_EQ(best({1, 2, 9}, 0).block, 1);
  EXPECT_EQ(best({1, 2, 9}, 0).tokens, 3U);
  EXPECT_EQ(best({1, 7}, 0).tokens, 1U);
  EXPECT_EQ(best({7, 2, 3, 4}, 0).block, -1);
  EXPECT_EQ(best({}, 0).block, -1);
  EXPECT_EQ(best({1, 2, 3, 4}, 0, 2).block, -1) << "another parent";
}

TEST_F(PartialIndexTest, HoldsTheShareOfABlocksOwnTokensAgainstTheThreshold) {
  add(0, {1, 2, 3, 4, 5});
  EXPECT_EQ(best({1, 2, 3, 4, 9}, 0.8).tokens, 4U);
  EXPECT_EQ(best({1, 2, 3, 9, 9}, 0.8).block, -1);
  EXPECT_EQ(best({1, 2, 3, 4, 9}, 1).block, -1);
  add(1, {1, 2});  // a tail agrees as a whole, with fewer
  EXPECT_EQ(best({1, 2, 3, 9, 9}, 0.8).block, 1);
  EXPECT_EQ(best({1, 2, 3, 4, 9}, 1).block, 1);
  EXPECT_EQ(best({1, 2, 3, 4, 9}, 0.8).block, 0);
  EXPECT_EQ(best({1, 2, 3, 9, 9}, 0).block, 0);
}

TEST_F(PartialIndexTest, ForgetsWhatIsRemoved) {
  add(0, {1, 2, 3});
  add(1, {1, 2});
  EXPECT_TRUE(index_.holds(key(1), 0, tokens_[0]));
  index_.remove(key(1), tokens_[0]);
  EXPECT_FALSE(index_.holds(key(1), 0, tokens_[0]));
  EXPECT_EQ(best({1, 2, 3}, 0).block, 1);
  EXPECT_THROW(index_.remove(key(1), tokens_[0]), std::logic_error);
  EXPECT_THROW(index_.remove(key(2), tokens_[1]), std::logic_error);
  index_.remove(key(1), tokens_[1]);
  EXPECT_EQ(index_.size(), 0U);
}

TEST_F(PartialIndexTest, FindsWhatASearchThroughAllFinds) {
  std::mt19937 random(1);
  const auto text = [&](std::size_t n) {
    std::vector<TokenId> tokens(n);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 3);
    return tokens;
  };
  for (int round = 0; round < 2000; ++round) {
    index_.clear();
    tokens_.clear();
    // Few enough that all are neighbours.
    for (BlockId id = 0; id < BlockId(random() % PartialIndex::kNeighbours); ++id) {
      const auto tokens = text(1 + random() % 6);
      if (std::ranges::none_of(tokens_, [&](const auto& one) { return one.second == tokens; })) add(id, tokens);
    }
    const auto next = text(random() % 6);
    const double threshold = static_cast<double>(random() % 11) / 10;
    std::uint32_t most = 0;
    for (const auto& [id, tokens] : tokens_) {
      const auto agreeing = static_cast<std::uint32_t>(std::ranges::mismatch(tokens, next).in1 - tokens.begin());
      if (static_cast<double>(agreeing) / static_cast<double>(tokens.size()) >= threshold) {
        most = std::max(most, agreeing);
      }
    }
    const auto found = best(next, threshold);
    ASSERT_EQ(found.tokens, most);
    ASSERT_EQ(found.block >= 0, most > 0);
  }
}

}  // namespace
}  // namespace headwater::cache
