#include "cache/ghost_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

namespace headwater::cache {
namespace {

TEST(GhostTable, RemembersTheLatest) {
  GhostTable table(2);
  table.put(1, {.last_used = 10});
  table.put(2, {.last_used = 20});
  table.put(3, {.last_used = 30, .label = 5, .uses = 9});
  EXPECT_FALSE(table.find(1));
  ASSERT_TRUE(table.find(3));
  EXPECT_EQ(table.at(*table.find(3))->last_used, 30U);
  EXPECT_EQ(table.at(*table.find(3))->label, 5U);
  EXPECT_EQ(table.at(*table.find(3))->uses, 9U);
}

TEST(GhostTable, ForgetsWhatIsErased) {
  GhostTable table(2);
  table.put(1, {});
  table.erase(*table.find(1));
  EXPECT_FALSE(table.find(1));
  table.erase(0);
  table.put(2, {});
  table.clear();
  EXPECT_FALSE(table.find(2));
}

TEST(GhostTable, FindsExactlyWhatAPlainListHolds) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const std::size_t capacity = 1 + random() % 9;
    GhostTable table(capacity);
    std::vector<std::uint64_t> slots(capacity);
    for (int step = 0; step < 500; ++step) {
      const std::uint64_t key = 1 + random() % 30;
      const auto found = table.find(key);
      const auto listed = std::find(slots.begin(), slots.end(), key);
      ASSERT_EQ(found.has_value(), listed != slots.end());
      if (found) {
        table.erase(*found);
        slots[*found] = 0;
      } else {
        slots[table.next()] = key;
        table.put(key, {});
      }
    }
  }
}

}  // namespace
}  // namespace headwater::cache
