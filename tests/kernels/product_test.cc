#include "kernels/cpu/product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/quantized_matrix.h"
#include "tests/kernels/panels.h"
#include "tests/kernels/weights.h"

namespace headwater::kernels::cpu {
namespace {

constexpr auto kLinear = QuantizedMatrix::Use::linear;

/// Multiplies by one kernel what `describe` makes a task of: describe(out), without its rows.
template <class Describe>
std::vector<float> run(ProductKernel kernel, bool tiles, std::size_t cols, std::size_t columns,
                       const std::vector<float>& x, std::size_t n, const Describe& describe) {
  Activations rounded;
  rounded.resize(n, cols / kGroup, tiles);
  for (std::size_t r = 0; r < n; ++r) kernel_table().round_row.run(x.data() + r * cols, rounded.rows(), r);
  std::vector<float> out(n * columns + 1, -7.0F);
  ProductTask task = describe(out.data());
  task.x = &rounded.rows();
  run_task(kernel, task, n);
  EXPECT_EQ(out.back(), -7.0F) << "written past the end";
  return out;
}
/// Multiplies with panels made by hand.
std::vector<float> multiply(Panels& panels, ProductKernel kernel, bool tiles, const std::vector<float>& x,
                            std::size_t n) {
  return run(kernel, tiles, panels.groups * kGroup, panels.columns, x, n, [&](float* out) { return panels.task(out); });
}
/// Packs and multiplies.
std::vector<float> run(ProductKernel kernel, bool tiles, const Weights& weights, const std::vector<float>& x,
                       std::size_t n) {
  ThreadPool pool(1);
  WeightMemory memory;
  const QuantizedMatrix matrix({&weights.tensor, 1}, kLinear, memory, pool);
  return run(kernel, tiles, weights.tensor.cols, weights.tensor.rows, x, n,
             [&](float* out) { return matrix.task(0, out, false); });
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
  for (const PanelFormat format : Panels::kAll) {
    SCOPED_TRACE(static_cast<int>(format));
    for (const std::size_t groups : {1, 3, 8, 19}) {
      Panels panels(format, groups, 37, false);
      for (std::size_t n = 1; n <= 40; ++n) {
        const std::vector<float> x = make_rows(n, groups * kGroup, static_cast<unsigned>(n));
        ASSERT_EQ(multiply(panels, kernel, tiles, x, n), multiply(panels, product_reference, false, x, n))
            << groups << " groups, " << n << " rows";
      }
    }
    // As great as sums get: numbers of the first row are 127 · 256, of the second nearly all -126 · 256 - 127.
    Panels panels(format, kGreatestK / kGroup, 5, true);
    std::vector<float> x(2 * kGreatestK, 1.0F);
    std::fill(x.begin() + kGreatestK + 1, x.end(), -32383.0F / kGreatestActivation);
    ASSERT_EQ(multiply(panels, kernel, tiles, x, 2), multiply(panels, product_reference, false, x, 2));
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
        // Activations are off by half a step. Weights are off by half of one of theirs for each that a code is away
        // from the middle, and a half for the offset; coarse ones count for more, a 256th of the time.
        const GroupFormat format = group_format(c.type);
        const int middle = format.has_minimum ? (format.most + 1) / 2 : format.zero;
        const double off = format.most < 16 ? 8 : 0.5 * std::max(middle - format.least, format.most - middle) + 0.51;
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
        got.sums.insert(got.sums.end(),
                        {sums.high_start, sums.low_start, sums.high, sums.low, sums.first_high, sums.first_low});
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
         {std::pair{kernel_table().round_row.run, false}, std::pair{kernel_table().round_row.run, true},
          std::pair{&quantize_row_portable, false}, std::pair{&quantize_row_portable, true}}) {
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
  const Rounded got = round(kernel_table().round_row.run, x, 1, false);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(static_cast<float>(got.numbers[i]) * got.scales[0], x[i], 0.502F * got.scales[0]);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
