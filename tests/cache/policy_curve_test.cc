#include "cache/policy_curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "cache/eviction_policy.h"

namespace headwater::cache {
namespace {

using Keys = std::vector<std::uint64_t>;

/// Prompts of four blocks after two that some share, popular by 1/rank.
std::vector<Keys> prompts(std::size_t n) {
  std::mt19937_64 random(3);
  std::vector<Keys> all(1500);
  for (Keys& keys : all) {
    for (int i = 0; i < 6; ++i) keys.push_back(random() | 1);
  }
  for (std::size_t i = 0; i < all.size(); ++i) std::copy_n(all[i % 100].begin(), 2, all[i].begin());
  std::vector<Keys> asked;
  while (asked.size() < n) {
    const double at = static_cast<double>(random() >> 11) * 0x1p-53;
    asked.push_back(all[static_cast<std::size_t>(std::pow(1500.0, at)) - 1]);
  }
  return asked;
}

class PolicyCurveOf : public testing::TestWithParam<const char*> {};

TEST_P(PolicyCurveOf, SaysWhatCachesOfThoseSizesHit) {
  constexpr std::uint32_t kCapacity = 800;
  const auto asked = prompts(9000);
  PolicyCurve exact(GetParam(), kCapacity), sampled(GetParam(), kCapacity, kCapacity / 4);
  for (const Keys& keys : asked) {
    exact.look_up(keys);
    sampled.look_up(keys);
  }
  for (std::size_t i = 0; i < MissCurve::kFactors.size(); ++i) {
    const auto blocks = static_cast<std::uint32_t>(kCapacity * MissCurve::kFactors[i]);
    MiniatureCache cache(make_policy(GetParam(), blocks).value(), blocks);
    double hits = 0;
    for (const Keys& keys : asked) hits += static_cast<double>(cache.serve(keys));
    const double rate = hits / (6.0 * static_cast<double>(asked.size()));
    EXPECT_NEAR(exact.hit_rate(i), rate, 1e-9) << i;
    EXPECT_NEAR(sampled.hit_rate(i), rate, 0.05) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, PolicyCurveOf, testing::Values("lru", "fifo", "lfu", "adaptive"),
                         [](const auto& info) { return std::string(info.param); });

TEST(PolicyCurve, KnowsNothingAtFirst) { EXPECT_EQ(PolicyCurve("lru", 100).hit_rate(2), 0); }

TEST(PolicyCurve, LetsOldTimesFade) {
  PolicyCurve curve("lru", 4);
  std::uint64_t next = 1;
  for (int i = 0; i < 200000; ++i) curve.look_up(Keys{next++});
  for (int i = 0; i < 400000; ++i) curve.look_up(Keys{7});
  EXPECT_GT(curve.hit_rate(2), 0.8);
  EXPECT_LT(curve.looked_up(), 200000U);
}

}  // namespace
}  // namespace headwater::cache
