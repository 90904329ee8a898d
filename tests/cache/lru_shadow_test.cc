#include "cache/lru_shadow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>

namespace headwater::cache {
namespace {

/// An LRU cache beside one that gives up any block, both written down plainly.
struct Plain {
  std::list<std::uint32_t> lru;            ///< newest first
  std::map<std::uint32_t, BlockId> cache;  ///< where the other cache has each key
  std::size_t lacking() const {
    return static_cast<std::size_t>(std::ranges::count_if(lru, [&](auto key) { return !cache.contains(key); }));
  }
};

TEST(LruShadow, HoldsWhatAnLruCacheHoldsAndCountsWhatTheOtherLacks) {
  constexpr std::uint32_t kCapacity = 40;
  std::mt19937 random(1);
  LruShadow shadow(kCapacity);
  Plain plain;
  std::vector<BlockId> free(kCapacity);
  for (std::uint32_t i = 0; i < kCapacity; ++i) free[i] = static_cast<BlockId>(i);
  for (int i = 0; i < 5000; ++i) {
    const std::uint32_t key = random() % 10 == 0 ? random() % 200 : random() % 60;
    const auto found = std::ranges::find(plain.lru, key);
    ASSERT_EQ(shadow.holds(key), found != plain.lru.end()) << i;
    if (!plain.cache.contains(key)) {
      if (free.empty()) {
        const auto victim = std::next(plain.cache.begin(), random() % plain.cache.size());
        shadow.lose(victim->first, victim->second);
        free.push_back(victim->second);
        plain.cache.erase(victim);
      }
      plain.cache[key] = free.back();
      free.pop_back();
      ASSERT_EQ(shadow.regain(key, plain.cache[key]), found != plain.lru.end());
    }
    std::optional<BlockId> pushed_out;
    if (found != plain.lru.end()) plain.lru.erase(found);
    plain.lru.push_front(key);
    if (plain.lru.size() > kCapacity) {
      const auto there = plain.cache.find(plain.lru.back());
      if (there != plain.cache.end()) pushed_out = there->second;
      plain.lru.pop_back();
    }
    ASSERT_EQ(shadow.use(key, plain.cache[key]), pushed_out) << i;
    ASSERT_EQ(shadow.lacking(), plain.lacking()) << i;
  }
}

TEST(LruShadow, LeavesAKeyAloneThatAnotherBlockHolds) {
  LruShadow shadow(4);
  shadow.use(7, 1);
  shadow.use(7, 2);  // of two keys that are taken for one, the later
  shadow.lose(7, 1);
  EXPECT_EQ(shadow.lacking(), 0U);
  shadow.lose(7, 2);
  EXPECT_EQ(shadow.lacking(), 1U);
}

TEST(LruShadow, BearsACacheOfOneBlock) {
  LruShadow shadow(1);
  EXPECT_FALSE(shadow.use(1, 0).has_value());
  shadow.lose(1, 0);
  EXPECT_FALSE(shadow.use(2, 0).has_value());
  EXPECT_FALSE(shadow.holds(1));
  EXPECT_EQ(shadow.lacking(), 0U);
}

}  // namespace
}  // namespace headwater::cache
