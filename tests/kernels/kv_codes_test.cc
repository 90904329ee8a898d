#include "kernels/cpu/kv_codes.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kGreatest = std::numeric_limits<float>::max();

CodeTarget target(std::size_t dim, unsigned bits, std::size_t block_tokens = 16, std::size_t slot = 5) {
  return {dim, block_tokens, slot, static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits)};
}

/// A head of a block, filled with ones so that what is written shows.
std::vector<std::byte> block(const CodeTarget& at) {
  return std::vector<std::byte>(code_layout(at.key_bits, at.value_bits, at.head_dim, at.block_tokens).end,
                                std::byte{0xFF});
}

std::vector<float> stored(const std::vector<float>& x, unsigned bits, bool value) {
  const CodeTarget at = target(x.size(), bits);
  std::vector<std::byte> head = block(at);
  (value ? store_value_codes : store_key_codes)(at, x.data(), head.data());
  std::vector<float> result;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double number =
        value ? reference::stored_value(at, head.data(), i) : reference::stored_key(at, head.data(), i);
    result.push_back(static_cast<float>(number));
  }
  return result;
}

/// Vectors that are awkward in one way or another, of 16 numbers.
std::vector<std::vector<float>> odd_vectors() {
  std::vector<std::vector<float>> all(8, random_values(16, 3));
  all[1][7] = 3e38F;
  all[2][0] = -kGreatest;
  all[2][1] = kGreatest;
  all[3][15] = kInfinity;
  all[4][2] = std::numeric_limits<float>::quiet_NaN();
  for (float& x : all[5]) x *= 1e-42F;
  for (float& x : all[6]) x = -0.0F;
  for (float& x : all[7]) x = 100 + x * 1e-3F;
  return all;
}

class KvCodes : public EveryTarget {};

TEST_P(KvCodes, AreExactlyThoseOfTheReferenceAndTouchNoOtherToken) {
  for (unsigned key_bits : {8U, 4U}) {
    for (unsigned value_bits : {8U, 4U}) {
      for (std::size_t dim : {8U, 16U, 64U, 72U, 80U, 96U, 128U, 256U, 1024U}) {
        for (std::size_t slot : {0U, 3U, 4U, 7U, 13U}) {
          CodeTarget at = target(dim, key_bits, 16, slot);
          at.value_bits = static_cast<std::uint8_t>(value_bits);
          std::vector<std::byte> got = block(at);
          std::vector<std::byte> want = got;
          const std::vector<float> key = random_values(dim, unsigned(slot));
          const std::vector<float> value = random_values(dim, unsigned(100 + slot), 30);
          store_key_codes(at, key.data(), got.data());
          store_value_codes(at, value.data(), got.data());
          reference::store_key_codes(at, key.data(), want.data());
          reference::store_value_codes(at, value.data(), want.data());
          ASSERT_EQ(got, want) << key_bits << " and " << value_bits << " bits, " << dim << " numbers, slot " << slot;
        }
      }
    }
  }
}

TEST_P(KvCodes, OfOddVectorsAreThoseOfTheReference) {
  for (unsigned bits : {8U, 4U}) {
    const CodeTarget at = target(16, bits);
    const auto vectors = odd_vectors();
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      std::vector<std::byte> got = block(at);
      std::vector<std::byte> want = got;
      store_key_codes(at, vectors[i].data(), got.data());
      store_value_codes(at, vectors[i].data(), got.data());
      reference::store_key_codes(at, vectors[i].data(), want.data());
      reference::store_value_codes(at, vectors[i].data(), want.data());
      EXPECT_EQ(got, want) << bits << " bits, vector " << i;
    }
  }
}

TEST_P(KvCodes, Of8BitsAreOffByHalfAStepAtMost) {
  for (bool value : {false, true}) {
    for (float offset : {0.0F, 5.0F, -1000.0F}) {
      std::vector<float> x = random_values(64, 9);
      for (float& number : x) number += offset;
      const auto [least, greatest] = std::minmax_element(x.begin(), x.end());
      // What rounding the two parameters to bfloat16 adds: 1/128 of the step and of the minimum.
      const float step = (*greatest - *least + std::abs(*least) / 128) * (1 + 1.0F / 128) / 255;
      const std::vector<float> got = stored(x, 8, value);
      for (std::size_t i = 0; i < x.size(); ++i) EXPECT_LE(std::abs(got[i] - x[i]), step * 0.501F) << offset;
    }
  }
}

double mean_square_error(const std::vector<float>& x) {
  const std::vector<float> got = stored(x, 4, false);
  EXPECT_EQ(stored(x, 4, true), got);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += double{got[i] - x[i]} * (got[i] - x[i]);
  return sum / double(x.size());
}

TEST_P(KvCodes, Of4BitsLoseWhatAFittedRangeLosesWhateverTheSpread) {
  // Codes between the least and the greatest of 32 normal numbers lose 0.0077 of their variance, fitted ones 0.0052.
  for (const float spread : {0.1F, 0.5F, 1.0F, 3.0F, 8.0F}) {
    const std::vector<float> x = random_values(1024, 4, spread);
    EXPECT_LT(mean_square_error(x) / double(spread * spread), 0.0057) << spread;
  }
}

TEST_P(KvCodes, Of4BitsHaveScalesOfTheirOwnForEach32Numbers) {
  std::vector<float> x = random_values(80, 4, 0.1F);
  for (std::size_t i = 32; i < 64; ++i) x[i] *= 100;
  const std::vector<float> got = stored(x, 4, false);
  for (std::size_t i = 0; i < 80; ++i) EXPECT_NEAR(got[i], x[i], i / 32 == 1 ? 3.0F : 0.03F) << i;
}

TEST_P(KvCodes, Of4BitsHoldGroupsWhoseNumbersHaveOneSign) {
  for (const float offset : {1.0F, 5.0F, 20.0F, -5.0F, -20.0F}) {
    std::vector<float> x = random_values(64, 4, 0.01F);
    for (float& number : x) number += offset;
    for (const float got : stored(x, 4, true)) EXPECT_NEAR(got / offset, 1, 0.06F) << offset;
  }
}

TEST_P(KvCodes, Of4BitsCutOffWhatIsTooLarge) {
  std::vector<float> x = random_values(32, 4);
  x[3] = 1e30F;
  x[9] = -1e30F;
  const std::vector<float> got = stored(x, 4, false);
  EXPECT_GT(got[3], 25);
  EXPECT_LT(got[9], -25);
  for (const float number : got) EXPECT_LT(std::abs(number), 64);
}

TEST_P(KvCodes, Of8BitsOfAConstantVectorAndOfZerosAreExact) {
  for (float constant : {0.0F, 1.0F, -3.5F, 0x1p-126F, 0x1.8p120F, -0x1p-133F}) {
    const std::vector<float> x(16, constant);
    EXPECT_EQ(stored(x, 8, false), x) << constant;
    EXPECT_EQ(stored(x, 8, true), x) << constant;
  }
  // A constant that bfloat16 does not hold comes nearer than bfloat16 would.
  EXPECT_NEAR(stored(std::vector<float>(16, 1.2345678F), 8, false)[3], 1.2345678F, 2e-5F);
}

TEST_P(KvCodes, Of4BitsOfZerosAreZeros) {
  EXPECT_EQ(stored(std::vector<float>(64), 4, false), std::vector<float>(64));
  EXPECT_EQ(stored(std::vector<float>(64), 4, true), std::vector<float>(64));
}

TEST_P(KvCodes, OfSubnormalsAreNothingButThatSmall) {
  std::vector<float> x = random_values(16, 1);
  for (float& number : x) number *= 1e-40F;
  for (float number : stored(x, 8, false)) EXPECT_LE(std::abs(number), 1e-38F);
}

TEST_P(KvCodes, OfAHugeOutlierKeepItAndStayFinite) {
  std::vector<float> x = random_values(64, 1);
  x[17] = 1e38F;
  const std::vector<float> got = stored(x, 8, true);
  EXPECT_NEAR(got[17] / 1e38F, 1, 0.01F);
  for (float number : got) EXPECT_TRUE(std::isfinite(number));
}

TEST_P(KvCodes, OfWhatIsNotFiniteAreNan) {
  for (float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (std::size_t at : {0U, 9U, 15U}) {
      std::vector<float> x = random_values(16, 1);
      x[at] = bad;
      for (float number : stored(x, 8, false)) EXPECT_TRUE(std::isnan(number));
      for (float number : stored(x, 4, true)) EXPECT_TRUE(std::isnan(number));
    }
  }
}

TEST_P(KvCodes, RotatingIsExactlyTheReferenceAndItsOwnInverse) {
  for (std::size_t dim : {8U, 16U, 24U, 64U, 80U, 96U, 128U, 256U, 1024U}) {
    const std::vector<float> x = random_values(dim, 7);
    std::vector<float> got = x;
    std::vector<float> want = x;
    rotate(got.data(), dim);
    reference::rotate(want.data(), dim);
    ASSERT_EQ(got, want) << dim;
    double length = 0;
    for (std::size_t i = 0; i < dim; ++i) length += double{x[i]} * x[i] - double{got[i]} * got[i];
    EXPECT_NEAR(length, 0, 1e-3) << dim;
    rotate(got.data(), dim);
    for (std::size_t i = 0; i < dim; ++i) EXPECT_NEAR(got[i], x[i], 1e-5F) << dim;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, KvCodes, testing::ValuesIn(highway_targets()),
                         [](const auto& test) { return std::string(hwy::TargetName(test.param)); });

}  // namespace
}  // namespace headwater::kernels::cpu
