#include "cache/lru_guard.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

constexpr std::uint32_t kCapacity = 800;
constexpr std::uint32_t kAtFirst = 100;  // an advance of 10, and nine times as much credit

/// A full cache that holds what LRU holds.
LruGuard full() {
  LruGuard guard(kCapacity);
  for (std::uint32_t key = 0; key < kCapacity; ++key) {
    guard.missed(key, static_cast<BlockId>(key));
    guard.used(key, static_cast<BlockId>(key));
  }
  return guard;
}

TEST(LruGuard, AllowsAShareOfTheCacheAtFirst) { EXPECT_EQ(full().liberties(), kAtFirst); }

TEST(LruGuard, CountsWhatTheCacheLacks) {
  LruGuard guard = full();
  for (std::uint32_t key = 0; key < 60; ++key) guard.gave_up(key, static_cast<BlockId>(key));
  EXPECT_EQ(guard.liberties(), kAtFirst - 60);
  for (std::uint32_t key = 60; key < 120; ++key) guard.gave_up(key, static_cast<BlockId>(key));
  EXPECT_EQ(guard.liberties(), 0U);
}

TEST(LruGuard, ForgetsWhatLruGivesUpItself) {
  LruGuard guard = full();
  for (std::uint32_t key = 0; key < 60; ++key) guard.gave_up(key, static_cast<BlockId>(key));
  for (std::uint32_t key = 0; key < 60; ++key) EXPECT_FALSE(guard.used(1000 + key, static_cast<BlockId>(key)));
  EXPECT_EQ(guard.liberties(), kAtFirst);
}

TEST(LruGuard, GivesCreditForWhatLruWouldHaveMissed) {
  LruGuard guard = full();
  guard.hit(false);
  EXPECT_EQ(guard.liberties(), kAtFirst + 10) << "itself, and nine on credit";
  for (int i = 0; i < 2000; ++i) guard.hit(false);
  EXPECT_EQ(guard.liberties(), kCapacity + kCapacity / 8) << "more than there are blocks, and no more than that";
}

TEST(LruGuard, TakesItBackForWhatOnlyLruWouldHaveHit) {
  LruGuard guard = full();
  for (std::uint32_t key = 0; key < 12; ++key) {
    guard.gave_up(key, static_cast<BlockId>(key));
    guard.missed(key, static_cast<BlockId>(key));
  }
  EXPECT_EQ(guard.liberties(), 0U) << "the advance is spent, and credit with it";
  for (std::uint32_t key = 100; key < 600; ++key) guard.hit(true);
  EXPECT_EQ(guard.liberties(), 5U) << "a share of LRU's hits: 2.5 less the two overspent, with credit";
}

}  // namespace
}  // namespace headwater::cache
