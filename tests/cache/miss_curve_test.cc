#include "cache/miss_curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace headwater::cache {
namespace {

/// An LRU cache of whole chains, as simple as can be: what is hit is what is among the first `capacity` of the list.
class PlainLru {
 public:
  explicit PlainLru(std::size_t capacity) : capacity_(capacity) {}

  void look_up(const std::vector<std::uint64_t>& keys) {
    for (const std::uint64_t key : keys) {
      const auto found = std::ranges::find(list_, key);
      hits_ += found != list_.end() && static_cast<std::size_t>(found - list_.begin()) < capacity_ ? 1 : 0;
    }
    looked_up_ += keys.size();
    for (auto key = keys.rbegin(); key != keys.rend(); ++key) use(*key);
  }
  void use(std::uint64_t key) {
    std::erase(list_, key);
    list_.insert(list_.begin(), key);
  }
  double hit_rate() const { return static_cast<double>(hits_) / static_cast<double>(looked_up_); }

 private:
  std::size_t capacity_;
  std::vector<std::uint64_t> list_;
  std::uint64_t hits_ = 0, looked_up_ = 0;
};

/// Prompts that are the beginnings of some texts, popular ones more often.
class Prompts {
 public:
  explicit Prompts(unsigned seed) : random_(seed) {}
  std::vector<std::uint64_t> next() {
    const std::uint64_t text = random_() % (1 + random_() % 60);
    std::vector<std::uint64_t> keys;
    for (std::uint64_t n = 1 + random_() % 6; n > 0; --n)
      keys.push_back(((text << 8U | n) + 1) * 0x9E3779B97F4A7C15ULL);
    std::ranges::reverse(keys);
    return keys;
  }

 private:
  std::mt19937_64 random_;
};

TEST(MissCurve, GivesWhatLruCachesOfEachSizeHit) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    Prompts prompts(seed);
    MissCurve curve(40);
    std::vector<PlainLru> caches;
    for (const double factor : MissCurve::kFactors) caches.emplace_back(static_cast<std::size_t>(factor * 40));
    for (std::uint64_t i = 0; i < 600; ++i) {
      const auto prompt = prompts.next();
      curve.look_up(prompt);
      for (PlainLru& cache : caches) cache.look_up(prompt);
      const std::uint64_t answer = 1'000'000 + i;  // takes room and is not asked for
      curve.use(answer);
      for (PlainLru& cache : caches) cache.use(answer);
    }
    for (std::size_t i = 0; i < caches.size(); ++i) EXPECT_DOUBLE_EQ(curve.hit_rate(i), caches[i].hit_rate()) << i;
    EXPECT_GT(curve.hit_rate(5), curve.hit_rate(0) + 0.2);  // otherwise nothing was compared
  }
}

TEST(MissCurve, IsNearlyRightWhereItLooksAtASampleOnly) {
  std::mt19937_64 random(3);
  MissCurve exact(2000), sampled(2000, 1600);  // one key in ten
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t key = (1 + random() % (1 + random() % 20'000)) * 0x9E3779B97F4A7C15ULL;
    exact.look_up({&key, 1});
    sampled.look_up({&key, 1});
  }
  for (std::size_t i = 0; i < MissCurve::kFactors.size(); ++i) {
    EXPECT_NEAR(sampled.hit_rate(i), exact.hit_rate(i), 0.05) << i;
  }
  EXPECT_GT(exact.hit_rate(5), exact.hit_rate(0) + 0.2);
}

TEST(MissCurve, KnowsNothingBeforeAnythingWasLookedUp) {
  MissCurve curve(10);
  curve.use(1);
  EXPECT_EQ(curve.looked_up(), 0U);
  EXPECT_EQ(curve.hit_rate(2), 0);
}

TEST(MissCurve, ForgetsWhatWasLongAgo) {
  MissCurve curve(8);
  for (std::uint64_t key = 1; key <= 100'000; ++key) curve.look_up({&key, 1});  // never twice
  EXPECT_EQ(curve.hit_rate(2), 0);
  const std::uint64_t same = 7;
  for (int i = 0; i < 400'000; ++i) curve.look_up({&same, 1});
  EXPECT_GT(curve.hit_rate(2), 0.9);
  EXPECT_LT(curve.looked_up(), 200'000U);
}

}  // namespace
}  // namespace headwater::cache
