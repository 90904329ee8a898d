#include "cache/lru_guard.h"

#include <gtest/gtest.h>

#include <vector>

namespace headwater::cache {
namespace {

constexpr std::uint32_t kCapacity = 40;

/// Uses of 20 keys in turn, which LRU always holds. `cached`: whether the policy held them as well.
std::uint64_t use_in_turn(LruGuard& guard, std::uint64_t from, int uses, bool cached) {
  static std::vector<std::uint64_t> last_used(20);
  if (from == 1) last_used.assign(20, 0);
  std::uint64_t now = from;
  for (int i = 0; i < uses; ++i, ++now) {
    std::uint64_t& last = last_used[now % 20];
    if (last > 0) guard.wanted(last, cached);
    guard.used(last, now);
    last = now;
    if (now % 10 == 0) guard.decide(now);
  }
  return now;
}

TEST(LruGuard, PrefersLruUntilThereIsSomethingToLearnFrom) {
  const LruGuard guard(kCapacity);
  EXPECT_TRUE(guard.prefers_lru(1));
  EXPECT_TRUE(guard.prefers_lru(99));
  EXPECT_FALSE(guard.prefers_lru(100));
}

TEST(LruGuard, LeavesAPolicyAloneThatHitsAsMuch) {
  LruGuard guard(kCapacity);
  const std::uint64_t now = use_in_turn(guard, 1, 5000, true);
  EXPECT_FALSE(guard.prefers_lru(now));
}

TEST(LruGuard, PrefersLruForLongerEachTimeItIsAhead) {
  LruGuard guard(kCapacity);
  std::uint64_t now = use_in_turn(guard, 1, 200, true);
  ASSERT_FALSE(guard.prefers_lru(now));
  std::vector<int> stays;
  for (int time = 0; time < 2; ++time) {
    while (!guard.prefers_lru(now)) now = use_in_turn(guard, now, 1, false);
    int stay = 0;
    while (guard.prefers_lru(now)) {
      now = use_in_turn(guard, now, 1, true);
      ++stay;
    }
    stays.push_back(stay);
  }
  EXPECT_NEAR(stays[0], 4 * kCapacity, 1);
  EXPECT_NEAR(stays[1], 8 * kCapacity, 1);
}

}  // namespace
}  // namespace headwater::cache
