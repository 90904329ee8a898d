#include "cache/adaptive_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "cache/miniature_cache.h"

namespace headwater::cache {
namespace {

using Keys = std::vector<std::uint64_t>;

std::uint64_t key_of(std::uint64_t number) {
  number = (number + 1) * 0x9E3779B97F4A7C15ULL;
  return number ^ number >> 29;
}

/// The policy beside LRU, of which every request is asked.
class Duel {
 public:
  explicit Duel(std::uint32_t blocks)
      : blocks_(blocks),
        lru_(make_policy("lru", blocks).value(), blocks),
        adaptive_(std::make_unique<AdaptivePolicy>(blocks), blocks) {}

  void ask(const Keys& keys) {
    lru_hits_ += static_cast<double>(lru_.serve(keys));
    hits_ += static_cast<double>(adaptive_.serve(keys));
  }
  bool only_lru_holds(std::uint64_t key) const { return lru_.holds(key) && !adaptive_.holds(key); }
  double lead() const { return hits_ - lru_hits_; }
  double lru_hits() const { return lru_hits_; }

  /// Hits above what the law says they are at least.
  double above_law() const {
    return hits_ - (1 - LruGuard::kShare) * lru_hits_ + (LruGuard::kAdvance + LruGuard::kCredit) * blocks_;
  }

 private:
  double blocks_;
  MiniatureCache lru_, adaptive_;
  double hits_ = 0, lru_hits_ = 0;
};

constexpr std::uint32_t kSizes[] = {1, 2, 7, 40, 150, 400};

/// Requests from a tree that grows: each goes down from a root and turns off somewhere into what is new.
class Forest {
 public:
  explicit Forest(unsigned seed) : random_(seed) {}

  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }
  std::uint64_t fresh() { return key_of(next_++); }
  Keys fresh(std::size_t n) {
    Keys keys;
    while (keys.size() < n) keys.push_back(fresh());
    return keys;
  }
  /// `again`: of ten requests, how many begin as one of the latest `reach`.
  Keys ask(std::uint32_t again, std::size_t reach) {
    Keys keys;
    if (!asked_.empty() && below(10) < again) {
      keys = asked_[asked_.size() - 1 - below(std::min(reach, asked_.size()))];
      if (below(2) == 0) keys.resize(1 + below(keys.size()));
    }
    if (keys.size() > 60) keys.resize(5);
    for (std::uint32_t n = below(6) + (keys.empty() ? 1 : 0); n > 0; --n) keys.push_back(fresh());
    asked_.push_back(keys);
    return keys;
  }

 private:
  std::mt19937 random_;
  std::uint64_t next_ = 0;
  std::vector<Keys> asked_;
};

TEST(AdaptivePolicy, IsBoundToLruAtEveryMomentOfRandomWork) {
  for (const std::uint32_t size : kSizes) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      Forest forest(seed);
      Duel duel(size);
      for (int i = 0; i < 1500; ++i) {
        duel.ask(forest.ask(i / 300 % 2 == 0 ? 9 : 6, i / 400 % 2 == 0 ? 400 : 15));
        ASSERT_GE(duel.above_law(), -1e-6) << size << " blocks, seed " << seed << ", request " << i;
      }
    }
  }
}

/// Lets the policy earn what it can, and then asks for nothing but what it has given up and LRU has not.
TEST(AdaptivePolicy, IsBoundToLruWhereSomebodyKnowsWhatItLacks) {
  double worst = 0;
  for (const std::uint32_t size : kSizes) {
    Forest forest(size);
    Duel duel(size);
    Keys all;
    std::size_t next = 0;
    const Keys looped = forest.fresh(size + size / 3 + 1);
    for (int i = 0; i < 9000; ++i) {
      Keys keys;
      const int phase = i / 1500;
      if (phase % 2 == 0) {  // a loop and what never returns
        keys = forest.below(3) == 0 ? forest.fresh(1) : Keys{looped[next++ % looped.size()]};
      } else {
        const auto lacked = std::find_if(all.rbegin(), all.rbegin() + std::min<std::ptrdiff_t>(all.size(), 2 * size),
                                         [&](std::uint64_t key) { return duel.only_lru_holds(key); });
        keys = lacked != all.rend() && duel.only_lru_holds(*lacked) ? Keys{*lacked} : forest.fresh(1);
      }
      all.insert(all.end(), keys.begin(), keys.end());
      const double lead = duel.lead();
      duel.ask(keys);
      worst = std::min(worst, duel.lead() - lead);
      ASSERT_GE(duel.above_law(), -1e-6) << size << " blocks, request " << i;
    }
  }
  EXPECT_LT(worst, 0) << "nothing was found that the policy lacked: the test tests nothing";
}

TEST(AdaptivePolicy, GainsOnALoopOfWhichLruHitsNothing) {
  Duel duel(400);
  Forest forest(1);
  const Keys looped = forest.fresh(1000);
  for (std::size_t i = 0; i < 60000; ++i) duel.ask({looped[i % looped.size()]});
  EXPECT_EQ(duel.lru_hits(), 0);
  EXPECT_GT(duel.lead(), 0.25 * 60000);
}

TEST(AdaptivePolicy, BearsAnyOrderOfEvents) {
  // One block twice under the same key, as after a flush, and blocks that are forgotten while in use.
  AdaptivePolicy policy(4);
  const auto publish = [&](BlockId block, std::uint64_t key) {
    policy.on_published({.kind = Touch::Kind::published, .block = block, .key = key}, 0);
  };
  for (int round = 0; round < 100; ++round) {
    publish(0, 5);
    publish(1, 5);
    policy.on_idle(0, 0);
    policy.on_idle(1, 0);
    policy.on_busy(0, 0);
    policy.on_forgotten(0);
    policy.on_forgotten(1);
  }
  EXPECT_LE(policy.liberties(), 4U);
  policy.reset();
  EXPECT_EQ(policy.liberties(), 0U);
}

}  // namespace
}  // namespace headwater::cache
