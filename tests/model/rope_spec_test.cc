#include "model/rope_spec.h"

#include <gtest/gtest.h>

#include <cmath>

namespace headwater::model {
namespace {

TEST(RopeSpec, PlainFrequenciesFallByPowersOfTheBase) {
  const auto got = inverse_frequencies({}, 8, {});
  ASSERT_EQ(got.size(), 4U);
  for (int i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(got[std::size_t(i)], float(std::pow(10000, -i / 4.0)));
}

TEST(RopeSpec, FactorsDivideEachFrequencyByItselfAndTheFactorAll) {
  RopeSpec rope;
  rope.factor = 2;
  const std::vector<float> factors = {1, 2, 4, 8};
  const auto plain = inverse_frequencies({}, 8, {});
  const auto got = inverse_frequencies(rope, 8, factors);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(got[i], plain[i] / 2 / factors[i]);
}

// What transformers' _compute_yarn_parameters gives for dim 64, base 1e6, factor 4, 32,768 positions before.
TEST(RopeSpec, YarnKeepsFastFrequenciesAndStretchesSlowOnes) {
  RopeSpec rope;
  rope.base = 1e6;
  rope.factor = 4;
  rope.yarn = {32768, 32, 1};
  const auto plain = [&] {
    RopeSpec same = rope;
    same.factor = 1;
    same.yarn.reset();
    return inverse_frequencies(same, 64, {});
  }();
  const auto got = inverse_frequencies(rope, 64, {});
  // Pairs 11 (32 turns: floor of 11.77) to 20 (one turn: ceiling of 19.83) are in between.
  for (std::size_t i = 0; i <= 11; ++i) EXPECT_FLOAT_EQ(got[i], plain[i]) << i;
  for (std::size_t i = 20; i < 32; ++i) EXPECT_FLOAT_EQ(got[i], plain[i] / 4) << i;
  EXPECT_FLOAT_EQ(got[14], plain[14] * (1.0F / 3 / 4 + 2.0F / 3));
  EXPECT_FLOAT_EQ(yarn_magnitude(4), 1.1386294F);
  EXPECT_EQ(yarn_magnitude(1), 1);
}

TEST(RopeSpec, LongFactorsGrowAttentionOnlyWhereTheContextIsExtended) {
  EXPECT_FLOAT_EQ(long_rope_magnitude(131072, 4096), 1.1902381F);
  EXPECT_EQ(long_rope_magnitude(4096, 4096), 1);
}

}  // namespace
}  // namespace headwater::model
