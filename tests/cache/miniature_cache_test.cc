#include "cache/miniature_cache.h"

#include <gtest/gtest.h>

#include "cache/eviction_policy.h"

namespace headwater::cache {
namespace {

using Keys = std::vector<std::uint64_t>;

MiniatureCache lru(std::uint32_t blocks) { return {make_policy("lru", blocks).value(), blocks}; }

TEST(MiniatureCache, HitsABlockThatIsThereWithItsWholePrefix) {
  MiniatureCache cache = lru(8);
  EXPECT_EQ(cache.serve(Keys{1, 2, 3}), 0U);
  EXPECT_EQ(cache.serve(Keys{1, 2, 4}), 2U);
  EXPECT_EQ(cache.serve(Keys{1, 2, 3}), 3U);
  EXPECT_EQ(cache.serve(Keys{}), 0U);
}

TEST(MiniatureCache, GivesUpTheEndOfWhatWasUsedLongestAgo) {
  MiniatureCache cache = lru(5);
  cache.serve(Keys{1, 2, 3});
  cache.serve(Keys{10, 11, 12});
  EXPECT_TRUE(cache.holds(2));
  EXPECT_FALSE(cache.holds(3));
  EXPECT_EQ(cache.serve(Keys{1, 2, 3}), 2U);
}

TEST(MiniatureCache, KeepsTheBeginningOfWhatIsTooLong) {
  MiniatureCache cache = lru(3);
  cache.serve(Keys{1, 2, 3, 4, 5});
  EXPECT_EQ(cache.serve(Keys{1, 2, 3, 4, 5}), 3U);
}

TEST(MiniatureCache, TakesInWhatIsFilledAfterAPrompt) {
  MiniatureCache cache = lru(4);
  cache.serve(Keys{1, 2});
  cache.fill(2, 3);
  cache.fill(9, 10);  // after nothing that is there
  cache.fill(0, 20);
  EXPECT_FALSE(cache.holds(10));
  EXPECT_EQ(cache.serve(Keys{1, 2, 3, 4}), 3U);
  EXPECT_FALSE(cache.holds(20)) << "there was no other room";
  cache.fill(4, 5);
  EXPECT_TRUE(cache.holds(4)) << "what is followed stays";
  EXPECT_FALSE(cache.holds(5));
}

}  // namespace
}  // namespace headwater::cache
