#include "cache/expiry_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

namespace headwater::cache {
namespace {

TEST(ExpiryQueue, GivesTheEarliestFirstAndOfEqualsTheDeepest) {
  ExpiryQueue queue(8);
  EXPECT_EQ(queue.next_deadline(), kNever);
  queue.set(0, 20, 0);
  queue.set(1, 10, 1);
  queue.set(2, 10, 2);
  std::vector<BlockId> order;
  for (; !queue.empty(); queue.remove(queue.front())) order.push_back(queue.front());
  EXPECT_EQ(order, (std::vector<BlockId>{2, 1, 0}));
}

TEST(ExpiryQueue, MovesABlockThatIsPutInAgain) {
  ExpiryQueue queue(4);
  queue.set(0, 10, 0);
  queue.set(1, 20, 0);
  queue.set(0, 30, 0);
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue.front(), 1);
  queue.set(0, 5, 0);
  EXPECT_EQ(queue.front(), 0);
}

TEST(ExpiryQueue, AgreesWithASortedMapThroughRandomChanges) {
  constexpr std::uint32_t kBlocks = 50;
  std::mt19937_64 random(3);
  ExpiryQueue queue(kBlocks);
  std::map<BlockId, std::tuple<TimeNs, std::int64_t, BlockId>> expected;
  for (int i = 0; i < 20'000; ++i) {
    const auto block = static_cast<BlockId>(random() % kBlocks);
    if (random() % 3 == 0) {
      queue.remove(block);
      expected.erase(block);
    } else {
      const auto deadline = static_cast<TimeNs>(random() % 40);
      const auto depth = static_cast<std::uint32_t>(random() % 5);
      queue.set(block, deadline, depth);
      expected[block] = {deadline, -std::int64_t{depth}, block};
    }
    ASSERT_EQ(queue.size(), expected.size());
    if (expected.empty()) continue;
    const auto first = std::ranges::min_element(expected, {}, [](const auto& one) { return one.second; });
    ASSERT_EQ(queue.front(), first->first) << i;
    ASSERT_EQ(queue.next_deadline(), std::get<0>(first->second));
  }
  queue.clear();
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace headwater::cache
