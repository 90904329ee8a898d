#include "kernels/cpu/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/quantized_matrix.h"
#include "kernels/weight_group.h"

namespace headwater::kernels::cpu {
namespace {

constexpr auto kLinear = QuantizedMatrix::Use::linear;

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
  made.blocks.resize(rows * cols / block_values(type) * block_bytes(type));
  for (std::byte& byte : made.blocks) byte = static_cast<std::byte>(random());
  for (std::size_t i = 0; i < made.blocks.size(); i += block_bytes(type)) {
    const std::uint16_t scale = half_bits(-static_cast<int>(random() % 9), random() % 8 == 0) | (random() & 0x3FFU);
    const std::uint16_t minimum = half_bits(-static_cast<int>(random() % 6), true) | (random() & 0x3FFU);
    std::memcpy(&made.blocks[i], &scale, 2);
    if (group_format(type).has_minimum) std::memcpy(&made.blocks[i + 2], &minimum, 2);
  }
  made.tensor = {made.blocks.data(), type, rows, cols};
  made.values.resize(rows * cols);
  for (std::size_t r = 0; r < rows; ++r) dequantize_row(made.tensor, r, {made.values.data() + r * cols, cols});
  return made;
}

/// The greatest weight that the codes of a row's groups could stand for.
double greatest_bound(const Weights& weights, std::size_t row) {
  const HostTensor& tensor = weights.tensor;
  const GroupFormat format = group_format(tensor.type);
  const std::byte* const at = tensor.data + row * tensor.cols / block_values(tensor.type) * block_bytes(tensor.type);
  double greatest = 0;
  for (std::size_t g = 0; g < tensor.cols / 32; ++g) {
    const WeightGroup group = read_group(tensor.type, at, g);
    for (const int code : {format.least, format.most}) {
      greatest = std::max<double>(greatest,
                                  std::abs(group.scale[0] * static_cast<float>(code - format.zero) + group.minimum[0]));
    }
  }
  return greatest;
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
  const QuantizedMatrix matrix({&weights.tensor, 1}, kLinear, memory, pool);
  Activations rounded;
  rounded.resize(n, groups, tiles);
  for (std::size_t r = 0; r < n; ++r) quantize_row(x.data() + r * cols, rounded.rows(), r);
  std::vector<float> out(n * weights.tensor.rows + 1, -7.0F);
  std::vector<std::byte> scratch(scratch_bytes(n) + 64);
  ProductTask task = matrix.task(rounded, out.data());
  WeightStream stream;
  task.weights = &stream;
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
  const auto add = [&](DType type, std::size_t rows, std::size_t cols) {
    for (const std::size_t n : {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 48, 50}) {
      all.push_back({type, rows, cols, n});
    }
  };
  for (const DType type : {DType::q4_0, DType::q4_1, DType::q8_0, DType::q5_0, DType::iq4_nl}) {
    for (const auto& [rows, cols] :
         {std::pair<std::size_t, std::size_t>{1, 32}, {16, 64}, {17, 96}, {31, 576}, {48, 1536}}) {
      add(type, rows, cols);
    }
  }
  for (const DType type : {DType::q4_k, DType::iq4_xs}) {
    for (const auto& [rows, cols] : {std::pair<std::size_t, std::size_t>{1, 256}, {17, 768}, {48, 1536}}) {
      add(type, rows, cols);
    }
  }
  return all;
}

void expect_reference_bits(ProductKernel kernel, bool tiles) {
  for (const Case& c : cases()) {
    const Weights weights = make_weights(c.type, c.rows, c.cols, 3);
    const std::vector<float> x = make_rows(c.n, c.cols, 5);
    const std::vector<float> expected = run(product_reference, false, weights, x, c.n);
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
        double weight_sum = 0;
        double x_sum = 0;
        double greatest_weight = 0;
        double greatest_x = 0;
        for (std::size_t k = 0; k < c.cols; ++k) {
          const double weight = weights.values[r * c.cols + k];
          const double value = x[n * c.cols + k];
          exact += weight * value;
          weight_sum += std::abs(weight);
          x_sum += std::abs(value);
          greatest_weight = std::max(greatest_weight, std::abs(weight));
          greatest_x = std::max(greatest_x, std::abs(value));
        }
        // Activations are off by half a step, weights by 8 of theirs (128 of 8 bits): the factor's half times the code.
        const GroupFormat format = group_format(c.type);
        const double off = format.most < 16 ? 8 : std::max(format.zero - format.least, format.most - format.zero);
        const double bound = greatest_bound(weights, r);
        const double allowed = 0.51 * greatest_x / kGreatestActivation * weight_sum +
                               off * bound / kGreatestWeight * x_sum + 1e-6 * std::abs(exact) + 1e-6;
        ASSERT_NEAR(got[n * c.rows + r], exact, allowed) << name(c.type) << ' ' << c.cols;
        ASSERT_LE(greatest_weight, bound * 1.001);
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
  const QuantizedMatrix both(parts, kLinear, memory, pool);
  std::vector<float> out(9 * 35);
  both.multiply(x.data(), 9, out.data(), rounded, pool);
  std::vector<float> first(9 * 21);
  QuantizedMatrix({parts, 1}, kLinear, memory, pool).multiply(x.data(), 9, first.data(), rounded, pool);
  std::vector<float> second(9 * 14);
  QuantizedMatrix({parts + 1, 1}, kLinear, memory, pool).multiply(x.data(), 9, second.data(), rounded, pool);
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
  const QuantizedMatrix matrix({&weights.tensor, 1}, kLinear, memory, one);
  std::vector<float> all(300 * 960);
  matrix.multiply(x.data(), 300, all.data(), rounded, three);
  for (const std::size_t n : {1, 2, 3, 4, 5, 6, 17, 48, 129}) {
    std::vector<float> some(n * 960);
    const std::size_t first = 300 - n;
    matrix.multiply(x.data() + first * 576, n, some.data(), rounded, n % 2 == 0 ? one : three);
    EXPECT_EQ(std::memcmp(some.data(), all.data() + first * 960, some.size() * sizeof(float)), 0) << n;
  }
}

TEST(Product, GatedProductsHaveTheBitsOfTheirParts) {
  for (const std::size_t dim : {16, 48, 20}) {  // the last is no whole number of panels
    const Weights weights = make_weights(DType::q4_1, 2 * dim, 96, 1);
    const std::vector<float> x = make_rows(50, 96, 2);
    WeightMemory memory;
    Activations rounded;
    ThreadPool pool(2);
    const QuantizedMatrix matrix({&weights.tensor, 1}, kLinear, memory, pool);
    const QuantizedMatrix gated({&weights.tensor, 1}, QuantizedMatrix::Use::gated, memory, pool);
    for (const std::size_t n : {1, 3, 4, 16, 17, 50}) {
      std::vector<float> both(n * 2 * dim);
      matrix.multiply(x.data(), n, both.data(), rounded, pool);
      std::vector<float> expected(n * dim);
      silu_mul(both.data(), n, dim, expected.data(), dim);
      std::vector<float> got(n * dim);
      gated.multiply_gated(x.data(), n, got.data(), rounded, pool);
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << dim << ", " << n << " rows";
    }
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
  for (const DType type : {DType::q5_1, DType::q5_k, DType::q6_k}) {  // of a minimum, or of scales of 16 values
    const HostTensor other[] = {{four.blocks.data(), type, 1, 256}};
    EXPECT_FALSE(QuantizedMatrix::takes(other)) << name(type);
  }
}

/// Rounds rows by `quantize` and gives all that was written.
struct Rounded {
  std::vector<int> numbers;
  std::vector<float> scales;
  std::vector<int> sums;
};
Rounded round(void (*quantize)(const float*, const QuantizedRows&, std::size_t), const std::vector<float>& x,
              std::size_t rows, bool tiles) {
  const std::size_t cols = x.size() / rows;
  Activations memory;
  memory.resize(rows, cols / kGroup, tiles);
  const QuantizedRows& into = memory.rows();
  Rounded got;
  for (std::size_t r = 0; r < rows; ++r) {
    quantize(x.data() + r * cols, into, r);
    for (std::size_t k = 0; k < into.steps * kStep; ++k) {
      const std::int8_t* code = into.at(r, k / kStep) + k % kStep;
      got.numbers.push_back(256 * code[0] + code[into.low]);
    }
    got.scales.push_back(into.scales[r]);
    if (!tiles) {
      for (std::size_t g = 0; g < into.groups; ++g) {
        const GroupSums& sums = into.sums[r * into.groups + g];
        got.sums.insert(got.sums.end(), {sums.high_start, sums.low_start, sums.high, sums.low});
      }
    }
  }
  return got;
}

TEST(QuantizeRow, GivesTheReferencesNumbersInEitherLayout) {
  for (const std::size_t cols : {32, 64, 96, 576}) {
    constexpr std::size_t kRows = 19;
    std::vector<float> x = make_rows(kRows, cols, 1);
    const auto row = [&](std::size_t r) { return x.begin() + static_cast<std::ptrdiff_t>(r * cols); };
    std::fill_n(row(1), cols, 0.0F);
    std::fill_n(row(2), cols, std::numeric_limits<float>::denorm_min());
    std::fill_n(row(3), cols, -1.5F);
    *(row(4) + 7) = std::numeric_limits<float>::quiet_NaN();
    *(row(5) + 31) = -std::numeric_limits<float>::infinity();
    *row(6) = std::numeric_limits<float>::max();
    *(row(6) + 5) = -std::numeric_limits<float>::max();
    for (std::size_t i = 0; i < cols; ++i) *(row(7) + i) = (static_cast<float>(i) + 0.5F) / 32512;  // ties
    *(row(7) + 3) = 1;
    const Rounded expected = round(reference::quantize_row, x, kRows, false);
    for (const auto& [quantize, tiles] :
         {std::pair{&quantize_row, false}, std::pair{&quantize_row, true}, std::pair{&quantize_row_portable, false},
          std::pair{&quantize_row_portable, true}}) {
      const Rounded got = round(quantize, x, kRows, tiles);
      EXPECT_EQ(got.numbers, expected.numbers);
      for (std::size_t r = 0; r < kRows; ++r) {
        EXPECT_EQ(std::isnan(got.scales[r]), r == 4 || r == 5);
        if (r != 4 && r != 5) {
          EXPECT_EQ(got.scales[r], expected.scales[r]);
        }
      }
      if (!tiles) {
        EXPECT_EQ(got.sums, expected.sums);
      }
    }
    EXPECT_EQ(expected.scales[1], 0);
    EXPECT_TRUE(std::isfinite(expected.scales[6]));
  }
}

TEST(QuantizeRow, RoundsToWithinHalfAStep) {
  const std::vector<float> x = make_rows(1, 3200, 9);
  const Rounded got = round(quantize_row, x, 1, false);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(static_cast<float>(got.numbers[i]) * got.scales[0], x[i], 0.502F * got.scales[0]);
  }
}

TEST(Product, ANonFiniteRowIsNaNAndLeavesItsNeighboursAlone) {
  const Weights weights = make_weights(DType::q4_1, 48, 96, 1);
  std::vector<float> x = make_rows(20, 96, 2);
  ThreadPool pool(1);
  WeightMemory memory;
  Activations rounded;
  const QuantizedMatrix matrix({&weights.tensor, 1}, kLinear, memory, pool);
  for (const std::size_t n : {2, 20}) {
    std::vector<float> clean(n * 48);
    matrix.multiply(x.data(), n, clean.data(), rounded, pool);
    std::vector<float> dirty = x;
    dirty[96 + 5] = std::numeric_limits<float>::infinity();
    std::vector<float> out(n * 48);
    matrix.multiply(dirty.data(), n, out.data(), rounded, pool);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i / 48 == 1) {
        EXPECT_TRUE(std::isnan(out[i]));
      } else {
        EXPECT_EQ(out[i], clean[i]);
      }
    }
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
