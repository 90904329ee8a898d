#include "kernels/cpu/ops.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {
namespace {

class Ops : public EveryTarget {};

/// One, primes, tails of every vector width, multiples.
constexpr std::size_t kSizes[] = {1, 2, 7, 13, 16, 31, 64, 97, 576, 1000};

void expect_near(const std::vector<float>& got, const std::vector<float>& want, float relative) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], relative * (1 + std::abs(want[i]))) << "at " << i;
  }
}

/// Of gates near zero, and of those `far` from it.
void expect_gate(void (*gate_mul)(const float*, std::size_t, std::size_t, float*, std::size_t),
                 void (*expected)(const float*, const float*, std::size_t, float*), std::initializer_list<float> far) {
  for (std::size_t n : kSizes) {
    auto gate = random_values(n, 3, 8);
    const auto up = random_values(n, 4);
    std::copy_n(far.begin(), std::min(n, far.size()), gate.begin());
    std::vector<float> got(n);
    std::vector<float> want(n);
    std::vector<float> both = gate;
    both.insert(both.end(), up.begin(), up.end());
    gate_mul(both.data(), 1, n, got.data(), n);
    expected(gate.data(), up.data(), n, want.data());
    expect_near(got, want, 1e-5F);
  }
}

TEST_P(Ops, RmsNormAgreesWithItsReference) {
  for (std::size_t n : kSizes) {
    const auto x = random_values(n, 1);
    const auto weight = random_values(n, 2);
    std::vector<float> got(n);
    std::vector<float> want(n);
    rms_norm(x.data(), weight.data(), 1e-5F, n, got.data());
    reference::rms_norm(x.data(), weight.data(), 1e-5F, n, want.data());
    expect_near(got, want, 1e-5F);
  }
}

TEST_P(Ops, RmsNormOfZerosIsZero) {
  const std::vector<float> zeros(33);
  std::vector<float> got(33, 1);
  rms_norm(zeros.data(), zeros.data(), 1e-5F, 33, got.data());
  EXPECT_EQ(got, zeros);
}

TEST_P(Ops, GeluMulAgreesWithItsReferenceAlsoFarFromZero) {
  expect_gate(gelu_mul, reference::gelu_mul, {-9.9F, -10, -300, 200, -3e37F, 3e37F});
}

TEST_P(Ops, GatesKeepANan) {
  const std::vector<float> both = {std::numeric_limits<float>::quiet_NaN(), 1};
  for (const auto gate : {silu_mul, gelu_mul}) {
    float got = 0;
    gate(both.data(), 1, 1, &got, 1);
    EXPECT_TRUE(std::isnan(got));
  }
}

TEST_P(Ops, SoftCapIsCapTimesTanh) {
  for (std::size_t n : kSizes) {
    auto x = random_values(n + 1, 5, 40);
    x[0] = 3e37F;
    const auto given = x;
    soft_cap(x.data(), 30, n);
    for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(x[i], 30 * std::tanh(given[i] / 30.0), 1e-4) << given[i];
    EXPECT_EQ(x[n], given[n]);
  }
}

TEST_P(Ops, MultiplyMultipliesEachValueAndNoMore) {
  for (std::size_t n : kSizes) {
    auto x = random_values(n + 1, 5);
    const auto given = x;
    multiply(x.data(), 3, n);
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], given[i] * 3);
    EXPECT_EQ(x[n], given[n]);
  }
}

TEST_P(Ops, SiluMulAgreesWithItsReferenceAlsoFarFromZero) {
  expect_gate(silu_mul, reference::silu_mul, {-100, -200, -300, 200, -3e37F, 3e37F});
}

TEST_P(Ops, AddTouchesNothingBeyondItsEnd) {
  for (std::size_t n : kSizes) {
    std::vector<float> x(n + 1, 1);
    const std::vector<float> y(n + 1, 2);
    add(x.data(), y.data(), n);
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], 3);
    EXPECT_EQ(x[n], 1);
  }
}

/// Values that rounding finds hard.
std::vector<float> awkward_values() {
  std::vector<float> values = random_values(1000, 6, 100);
  for (float special :
       {0.0F, -0.0F, 1.0F, 65504.0F, 65519.0F, 65520.0F, 1e30F, 6.0e-8F, 2.9e-8F, 6.1e-5F, 1.00048828125F,
        1.0029296875F, 1e-40F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    values.push_back(special);
    values.push_back(-special);
  }
  return values;
}

TEST_P(Ops, RoundingToBf16IsExactlyTheReference) {
  const auto values = awkward_values();
  std::vector<std::uint16_t> got(values.size());
  std::vector<std::uint16_t> want(values.size());
  to_bf16(values.data(), values.size(), got.data());
  reference::to_bf16(values.data(), values.size(), want.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      EXPECT_TRUE(std::isnan(std::bit_cast<float>(std::uint32_t{got[i]} << 16U)));
    } else {
      EXPECT_EQ(got[i], want[i]) << values[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Ops, testing::ValuesIn(highway_targets()),
                         [](const auto& test) { return std::string(hwy::TargetName(test.param)); });

}  // namespace
}  // namespace headwater::kernels::cpu
