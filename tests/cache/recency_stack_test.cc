#include "cache/recency_stack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace headwater::cache {
namespace {

TEST(RecencyStack, CountsTheOtherKeysUsedSince) {
  RecencyStack stack(8);
  for (const std::uint64_t key : {1, 2, 3, 2, 2}) stack.use(key);
  EXPECT_EQ(stack.distance(2), 0U);
  EXPECT_EQ(stack.distance(3), 1U);
  EXPECT_EQ(stack.distance(1), 2U);
  EXPECT_FALSE(stack.distance(4).has_value());
}

TEST(RecencyStack, KeepsAsManyKeysAsItHasRoomForTheLatest) {
  RecencyStack stack(2);
  for (const std::uint64_t key : {1, 2, 1, 3}) stack.use(key);
  EXPECT_EQ(stack.size(), 2U);
  EXPECT_FALSE(stack.distance(2).has_value());
  EXPECT_EQ(stack.distance(1), 1U);
  EXPECT_EQ(stack.distance(3), 0U);
}

TEST(RecencyStack, AgreesWithAListThatIsMovedToTheFront) {
  std::mt19937 random(7);
  for (const std::size_t capacity : {1U, 5U, 40U}) {
    RecencyStack stack(capacity);
    std::vector<std::uint64_t> list;  // the latest first
    for (int i = 0; i < 3000; ++i) {
      const std::uint64_t key = random() % 60;
      const auto found = std::ranges::find(list, key);
      const auto distance = stack.distance(key);
      ASSERT_EQ(distance.has_value(), found != list.end());
      if (distance) {
        ASSERT_EQ(*distance, static_cast<std::size_t>(found - list.begin()));
        list.erase(found);
      }
      stack.use(key);
      list.insert(list.begin(), key);
      if (list.size() > capacity) list.pop_back();
      ASSERT_EQ(stack.size(), list.size());
    }
  }
}

}  // namespace
}  // namespace headwater::cache
