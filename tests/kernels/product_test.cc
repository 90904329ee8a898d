#include "kernels/cpu/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/quantized_matrix.h"

namespace headwater::kernels::cpu {
namespace {

/// A weight matrix as a model file has it, with its float values.
struct Weights {
  std::vector<std::byte> blocks;
  std::vector<float> values;
  HostTensor tensor;
};

std::uint16_t half_bits(int power, bool negative) {  // ± 2^power
  return static_cast<std::uint16_t>((negative ? 0x8000 : 0) | (power + 15) << 10);
}

Weights make_weights(DType type, std::size_t rows, std::size_t cols, unsigned seed) {
  std::mt19937 random(seed);
  Weights made;
  made.blocks.resize(rows * cols / 32 * block_bytes(type));
  for (std::byte& byte : made.blocks) byte = static_cast<std::byte>(random());
  for (std::size_t i = 0; i < made.blocks.size(); i += block_bytes(type)) {
    const std::uint16_t scale = half_bits(-static_cast<int>(random() % 9), random() % 8 == 0) | (random() & 0x3FFU);
    const std::uint16_t minimum = half_bits(-static_cast<int>(random() % 6), true) | (random() & 0x3FFU);
    std::memcpy(&made.blocks[i], &scale, 2);
    if (type == DType::q4_1) std::memcpy(&made.blocks[i + 2], &minimum, 2);
  }
  made.tensor = {made.blocks.data(), type, rows, cols};
  made.values.resize(rows * cols);
  for (std::size_t r = 0; r < rows; ++r) dequantize_row(made.tensor, r, {made.values.data() + r * cols, cols});
  return made;
}

std::vector<float> make_rows(std::size_t rows, std::size_t cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(rows * cols);
  for (float& value : x) value = normal(random) * (random() % 50 == 0 ? 30.0F : 1.0F);
  return x;
}

/// Packs and multiplies by one kernel.
std::vector<float> run(ProductKernel kernel, bool tiles, const Weights& weights, const std::vector<float>& x,
                       std::size_t n) {
  const std::size_t cols = weights.tensor.cols;
  const std::size_t groups = cols / kGroup;
  ThreadPool pool(1);
  WeightMemory memory;
  const QuantizedMatrix matrix({&weights.tensor, 1}, memory, pool);
  Activations rounded;
  rounded.resize(n, groups, tiles);
  for (std::size_t r = 0; r < n; ++r) rounded.quantize(r, x.data() + r * cols);
  std::vector<float> out(n * weights.tensor.rows + 1, -7.0F);
  std::vector<std::byte> scratch(scratch_bytes(groups) + 64);
  ProductTask task = matrix.task(rounded, out.data());
  task.scratch = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  kernel(task);
  EXPECT_EQ(out.back(), -7.0F) << "written past the end";
  return out;
}

struct Case {
  DType type;
  std::size_t rows, cols, n;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const DType type : {DType::q4_0, DType::q4_1, DType::q8_0}) {
    for (const auto& [rows, cols] :
         {std::pair<std::size_t, std::size_t>{1, 32}, {16, 64}, {17, 96}, {31, 576}, {48, 1536}}) {
      for (const std::size_t n : {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 48, 50}) {
        all.push_back({type, rows, cols, n});
      }
    }
  }
  return all;
}

void expect_reference_bits(ProductKernel kernel, bool tiles) {
  for (const Case& c : cases()) {
    const Weights weights = make_weights(c.type, c.rows, c.cols, 3);
    const std::vector<float> x = make_rows(c.n, c.cols, 5);
    const std::vector<float> expected = run(product_reference, !tiles, weights, x, c.n);
    const std::vector<float> got = run(kernel, tiles, weights, x, c.n);
    ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
        << name(c.type) << ' ' << c.rows << 'x' << c.cols << ", " << c.n << " rows";
  }
}

TEST(Product, ReferenceIsNearTheExactProduct) {
  for (const Case& c : cases()) {
    const Weights weights = make_weights(c.type, c.rows, c.cols, 1);
    const std::vector<float> x = make_rows(c.n, c.cols, 2);
    const std::vector<float> got = run(product_reference, false, weights, x, c.n);
    for (std::size_t n = 0; n < c.n; ++n) {
      for (std::size_t r = 0; r < c.rows; ++r) {
        double exact = 0;
        double allowed = 1e-5;  // each value is off by half a step of its group at most
        for (std::size_t g = 0; g < c.cols; g += 32) {
          double greatest = 0;
          double weight = 0;
          for (std::size_t k = g; k < g + 32; ++k) {
            exact += double{x[n * c.cols + k]} * weights.values[r * c.cols + k];
            greatest = std::max(greatest, std::abs(double{x[n * c.cols + k]}));
            weight += std::abs(weights.values[r * c.cols + k]);
          }
          allowed += 0.501 * greatest / kGreatestCode * weight + 1e-6 * greatest * weight;
        }
        ASSERT_NEAR(got[n * c.rows + r], exact, allowed) << name(c.type) << ' ' << c.cols;
      }
    }
  }
}

TEST(Product, Avx2GivesTheBitsOfTheReference) {
  if (!cpu_features().avx2) GTEST_SKIP() << "this processor has no AVX2";
  expect_reference_bits(product_avx2, false);
}

TEST(Product, VnniGivesTheBitsOfTheReference) {
  if (!cpu_features().avx512_vnni) GTEST_SKIP() << "this processor has no AVX-512 VNNI";
  expect_reference_bits(product_vnni, false);
  expect_reference_bits(product_vnni, true);
}

TEST(Product, AmxGivesTheBitsOfTheReference) {
  if (!cpu_features().amx) GTEST_SKIP() << "this processor has no AMX";
  expect_reference_bits(product_amx, true);
}

TEST(Product, StackedPartsAreOneMatrix) {
  const Weights top = make_weights(DType::q4_1, 21, 64, 1);
  const Weights bottom = make_weights(DType::q4_1, 14, 64, 2);
  ThreadPool pool(2);
  WeightMemory memory;
  Activations rounded;
  const std::vector<float> x = make_rows(9, 64, 3);
  const HostTensor parts[] = {top.tensor, bottom.tensor};
  const QuantizedMatrix both(parts, memory, pool);
  std::vector<float> out(9 * 35);
  both.multiply(x.data(), 9, out.data(), rounded, pool);
  std::vector<float> first(9 * 21);
  QuantizedMatrix({parts, 1}, memory, pool).multiply(x.data(), 9, first.data(), rounded, pool);
  std::vector<float> second(9 * 14);
  QuantizedMatrix({parts + 1, 1}, memory, pool).multiply(x.data(), 9, second.data(), rounded, pool);
  for (std::size_t n = 0; n < 9; ++n) {
    for (std::size_t r = 0; r < 35; ++r) {
      EXPECT_EQ(out[n * 35 + r], r < 21 ? first[n * 21 + r] : second[n * 14 + r - 21]);
    }
  }
}

TEST(Product, ARowHasTheSameBitsAloneAndInAnyCompany) {
  const Weights weights = make_weights(DType::q4_1, 960, 576, 1);
  const std::vector<float> x = make_rows(300, 576, 2);
  WeightMemory memory;
  Activations rounded;
  ThreadPool one(1);
  ThreadPool three(3);
  const QuantizedMatrix matrix({&weights.tensor, 1}, memory, one);
  std::vector<float> all(300 * 960);
  matrix.multiply(x.data(), 300, all.data(), rounded, three);
  for (const std::size_t n : {1, 2, 3, 4, 5, 6, 17, 48, 129}) {
    std::vector<float> some(n * 960);
    const std::size_t first = 300 - n;
    matrix.multiply(x.data() + first * 576, n, some.data(), rounded, n % 2 == 0 ? one : three);
    EXPECT_EQ(std::memcmp(some.data(), all.data() + first * 960, some.size() * sizeof(float)), 0) << n;
  }
}

TEST(Product, MixedOrUnquantisedPartsAreNotTaken) {
  const Weights four = make_weights(DType::q4_1, 16, 32, 1);
  const Weights eight = make_weights(DType::q8_0, 16, 32, 1);
  const HostTensor mixed[] = {four.tensor, eight.tensor};
  EXPECT_FALSE(QuantizedMatrix::takes(mixed));
  EXPECT_TRUE(QuantizedMatrix::takes({mixed, 1}));
  const HostTensor plain[] = {{four.blocks.data(), DType::f16, 1, 32}};
  EXPECT_FALSE(QuantizedMatrix::takes(plain));
}

TEST(QuantizeRow, GivesTheReferencesCodesAndScales) {
  std::vector<float> x = make_rows(1, 32 * 12, 1);
  const float most = std::numeric_limits<float>::max();
  std::fill_n(x.begin() + 32, 32, 0.0F);                                      // all zero
  std::fill_n(x.begin() + 64, 32, std::numeric_limits<float>::denorm_min());  // subnormal
  std::fill_n(x.begin() + 96, 32, -1.5F);                                     // constant
  x[128 + 7] = std::numeric_limits<float>::quiet_NaN();
  x[160 + 31] = -std::numeric_limits<float>::infinity();
  x[192] = most;
  x[192 + 5] = -most;
  for (std::size_t i = 0; i < 32; ++i) x[224 + i] = static_cast<float>(i) * (1 / 2047.0F) + 0.5F / 2047.0F;  // ties
  x[224 + 31] = 1;
  const std::size_t groups = x.size() / 32;
  for (const std::size_t stride : {std::size_t{64}, std::size_t{1024}}) {
    std::vector<std::int8_t> codes(groups * stride);
    std::vector<std::int8_t> expected(groups * stride);
    std::vector<float> scales(groups * 32);
    std::vector<float> expected_scales(groups * 32);
    quantize_row(x.data(), groups, codes.data(), stride, scales.data());
    reference::quantize_row(x.data(), groups, expected.data(), stride, expected_scales.data());
    EXPECT_EQ(codes, expected);
    for (std::size_t i = 0; i < scales.size(); ++i) {
      EXPECT_TRUE(scales[i] == expected_scales[i] || (std::isnan(scales[i]) && std::isnan(expected_scales[i]))) << i;
    }
    EXPECT_TRUE(std::isnan(scales[4 * 32]) && std::isnan(scales[5 * 32]));
    EXPECT_FALSE(std::isnan(scales[6 * 32]));
    EXPECT_EQ(scales[32], 0);
  }
}

TEST(QuantizeRow, RoundsToWithinHalfAStep) {
  const std::vector<float> x = make_rows(1, 32 * 100, 9);
  std::vector<std::int8_t> codes(100 * 64);
  std::vector<float> scales(100 * 32);
  quantize_row(x.data(), 100, codes.data(), 64, scales.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t g = i / 32;
    const int code = 16 * codes[g * 64 + i % 32] + codes[g * 64 + 32 + i % 32];
    EXPECT_NEAR(static_cast<float>(code) * scales[g * 32], x[i], 0.501F * scales[g * 32]);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
