#include "kernels/cpu/grouped_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/grouped_rows.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/quantized_matrix.h"
#include "tests/kernels/emulated_avxvnni.h"
#include "tests/kernels/panels.h"
#include "tests/kernels/weights.h"

namespace headwater::kernels::cpu {
namespace {

using Quantize = void (*)(const float*, const GroupedRows&, std::size_t);

GroupedActivations rounded(Quantize quantize, const std::vector<float>& x, std::size_t n) {
  GroupedActivations made;
  made.resize(n, x.size() / n / kGroup);
  for (std::size_t r = 0; r < n; ++r) quantize(x.data() + r * (x.size() / n), made.rows(), r);
  for (std::size_t block = 0; block < made.rows().blocks(); ++block) list_wide_groups(made.rows(), block);
  return made;
}

std::vector<float> run(ProductKernel kernel, ProductTask task, const GroupedActivations& x, std::vector<float> out) {
  task.grouped = &x.rows();
  run_task(kernel, task, x.rows().rows);
  EXPECT_EQ(out.back(), -7.0F) << "written past the end";
  return out;
}
std::vector<float> run(ProductKernel kernel, Panels& panels, const GroupedActivations& x) {
  std::vector<float> out(x.rows().rows * panels.columns + 1, -7.0F);
  const ProductTask task = panels.task(out.data());
  return run(kernel, task, x, std::move(out));
}
std::vector<float> run(ProductKernel kernel, const Weights& weights, const GroupedActivations& x) {
  ThreadPool pool(1);
  WeightMemory memory;
  const QuantizedMatrix matrix({&weights.tensor, 1}, QuantizedMatrix::Use::linear, memory, pool);
  std::vector<float> out(x.rows().rows * weights.tensor.rows + 1, -7.0F);
  const ProductTask task = matrix.task(0, out.data(), false);
  return run(kernel, task, x, std::move(out));
}

/// Rows whose groups are of very different widths, and some of which are all of one sign.
std::vector<float> uneven_rows(std::size_t rows, std::size_t cols, unsigned seed) {
  std::vector<float> x = make_rows(rows, cols, seed);
  for (std::size_t g = 0; g < x.size() / kGroup; ++g) {
    for (std::size_t i = 0; i < kGroup; ++i) {
      float& value = x[g * kGroup + i];
      if (g % 7 == 2) value *= 100;
      if (g % 5 == 1) value = 3 + std::abs(value);
      if (g % 5 == 3) value = -std::abs(value);
    }
  }
  return x;
}

std::size_t n_wide(const GroupedRows& x, std::size_t row) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < x.wide_words(); ++i) {
    n += static_cast<std::size_t>(std::popcount(x.wide[row * x.wide_words() + i]));
  }
  return n;
}

/// A kernel, and what a processor needs for it.
template <class Run>
struct Kernel {
  const char* name;
  Run run;
  bool CpuFeatures::*needs;
};
template <class Run>
class EveryKernel : public testing::TestWithParam<Kernel<Run>> {
 protected:
  void SetUp() override {
    if (!(cpu_features().*kernel().needs)) GTEST_SKIP() << "this processor has no " << kernel().name;
  }
  static const Kernel<Run>& kernel() { return testing::TestWithParam<Kernel<Run>>::GetParam(); }
};
template <class Run>
std::string name_of(const testing::TestParamInfo<Kernel<Run>>& info) {
  return info.param.name;
}

using GroupedProductKernels = EveryKernel<ProductKernel>;
INSTANTIATE_TEST_SUITE_P(
    Kernels, GroupedProductKernels,
    testing::Values(Kernel<ProductKernel>{"AVX2", product_grouped_avx2, &CpuFeatures::avx2},
                    Kernel<ProductKernel>{"AVX_VNNI", product_grouped_avxvnni, &CpuFeatures::avx_vnni},
                    Kernel<ProductKernel>{"EmulatedAVX_VNNI", product_grouped_emulated_avxvnni,
                                          &CpuFeatures::avx512_vnni},
                    Kernel<ProductKernel>{"AVX512_VNNI", product_grouped_vnni, &CpuFeatures::avx512_vnni}),
    name_of<ProductKernel>);

TEST_P(GroupedProductKernels, GiveTheBitsOfTheReferenceForAnyTypeAndShape) {
  for (const Case& c : cases()) {
    const Weights weights = make_weights(c.type, c.rows, c.cols, 3);
    const GroupedActivations x = rounded(kernel_table().round_grouped_row.run, uneven_rows(c.n, c.cols, 5), c.n);
    ASSERT_EQ(run(kernel().run, weights, x), run(product_grouped_reference, weights, x))
        << name(c.type) << ' ' << c.rows << 'x' << c.cols << ", " << c.n << " rows";
  }
  for (const PanelFormat format : Panels::kAll) {
    SCOPED_TRACE(static_cast<int>(format));
    for (const std::size_t groups : {1, 3, 19, 70}) {
      Panels panels(format, groups, 37, false);
      for (std::size_t n = 1; n <= 40; ++n) {
        const GroupedActivations x =
            rounded(kernel_table().round_grouped_row.run, uneven_rows(n, groups * kGroup, static_cast<unsigned>(n)), n);
        if (groups == 70) {
          ASSERT_GT(n_wide(x.rows(), 0), 0U);
        }
        ASSERT_EQ(run(kernel().run, panels, x), run(product_grouped_reference, panels, x))
            << groups << " groups, " << n << " rows";
      }
    }
  }
}

TEST_P(GroupedProductKernels, GiveTheBitsOfTheReferenceWhereDotsAreAsGreatAsTheyGet) {
  for (const PanelFormat format : Panels::kAll) {
    SCOPED_TRACE(static_cast<int>(format));
    // All codes 127, all -127, and the rests of a wide group all -128.
    Panels panels(format, kGreatestK / kGroup, 5, true);
    std::vector<float> ends(3 * kGreatestK, 1.0F);
    std::fill_n(ends.begin() + kGreatestK, kGreatestK, -1.0F);
    for (std::size_t i = 0; i < kGreatestK; ++i) {
      ends[2 * kGreatestK + i] = (i % 2 == 0 ? 1.0F : -1.0F) * (i < kGroup ? 1.0F : 0.01F);
    }
    const GroupedActivations x = rounded(kernel_table().round_grouped_row.run, ends, 3);
    ASSERT_EQ(n_wide(x.rows(), 2), 1U);
    ASSERT_EQ(x.rows().codes[x.rows().place(1, 5) * kGroup], -127);
    ASSERT_EQ(x.rows().rests[x.rows().place(2, 0) * kGroup], -128);
    ASSERT_EQ(run(kernel().run, panels, x), run(product_grouped_reference, panels, x));
  }
}

TEST_P(GroupedProductKernels, GiveARowTheSameBitsAloneWhateverIsNextToIt) {
  constexpr std::size_t kRows = 25;
  constexpr std::size_t kCols = 19 * kGroup;
  for (const PanelFormat format : Panels::kAll) {
    SCOPED_TRACE(static_cast<int>(format));
    Panels panels(format, kCols / kGroup, 37, false);
    std::vector<float> x = uneven_rows(kRows, kCols, 7);
    x[3 * kCols + 40] = std::numeric_limits<float>::quiet_NaN();
    x[14 * kCols + kCols - 1] = std::numeric_limits<float>::infinity();
    const Quantize quantize = kernel_table().round_grouped_row.run;
    const std::vector<float> all = run(kernel().run, panels, rounded(quantize, x, kRows));
    for (std::size_t r = 0; r < kRows; ++r) {
      const auto first = x.begin() + static_cast<std::ptrdiff_t>(r * kCols);
      const std::vector<float> row(first, first + kCols);
      const std::vector<float> alone = run(kernel().run, panels, rounded(quantize, row, 1));
      for (std::size_t i = 0; i < panels.columns; ++i) {
        const float got = all[r * panels.columns + i];
        if (r == 3 || r == 14) {
          ASSERT_TRUE(std::isnan(got) && std::isnan(alone[i])) << "row " << r;
        } else {
          ASSERT_EQ(got, alone[i]) << "row " << r;
        }
      }
    }
  }
}

TEST(GroupedProduct, IsAsNearAsHalfAStepOfEachGroup) {
  for (const Case& c : cases()) {
    const Weights weights = make_weights(c.type, c.rows, c.cols, 1);
    const std::vector<float> x = uneven_rows(c.n, c.cols, 2);
    const GroupedActivations inputs = rounded(reference::quantize_grouped_row, x, c.n);
    const std::vector<float> got = run(product_grouped_reference, weights, inputs);
    for (std::size_t n = 0; n < c.n; ++n) {
      for (std::size_t r = 0; r < c.rows; ++r) {
        double exact = 0;
        double allowed = 1e-5;
        const double bound = greatest_bound(weights, r);
        for (std::size_t k = 0; k < c.cols; ++k) {
          const std::size_t g = k / kGroup;
          const bool wide = (inputs.rows().wide[n * inputs.rows().wide_words() + g / 64] >> g % 64 & 1U) != 0;
          const double step = inputs.rows().terms[inputs.rows().place(n, g)].step;
          const double weight = weights.values[r * c.cols + k];
          exact += weight * x[n * c.cols + k];
          // The activation is off by half a step, or a 512th; the weight as product.h has it; floats by little.
          allowed += (wide ? 0.51 / 256 : 0.51) * step * std::abs(weight);
          allowed += std::abs(x[n * c.cols + k]) * bound * (128.0 / kGreatestWeight + 1e-5);
        }
        ASSERT_NEAR(got[n * c.rows + r], exact, allowed) << name(c.type) << ' ' << c.cols;
      }
    }
  }
}

using QuantizeGroupedRowKernels = EveryKernel<Quantize>;
INSTANTIATE_TEST_SUITE_P(Kernels, QuantizeGroupedRowKernels,
                         testing::Values(Kernel<Quantize>{"AVX2", quantize_grouped_row_avx2, &CpuFeatures::avx2},
                                         Kernel<Quantize>{"AVX512", quantize_grouped_row_avx512, &CpuFeatures::avx512}),
                         name_of<Quantize>);

void expect_equal(const GroupTerms& s, const GroupTerms& t) {
  EXPECT_TRUE(s.step == t.step || (std::isnan(s.step) && std::isnan(t.step)));
  EXPECT_EQ(s.start, t.start);
  EXPECT_EQ(s.sum_and_centre(), t.sum_and_centre());
  EXPECT_EQ(s.halves(), t.halves());
}

TEST_P(QuantizeGroupedRowKernels, GiveTheReferencesNumbers) {
  for (const std::size_t cols : {32, 96, 576, 4096}) {
    constexpr std::size_t kRows = 12;
    std::vector<float> x = uneven_rows(kRows, cols, 1);
    const auto row = [&](std::size_t r) { return x.begin() + static_cast<std::ptrdiff_t>(r * cols); };
    std::fill_n(row(1), cols, 0.0F);
    std::fill_n(row(2), cols, std::numeric_limits<float>::denorm_min());
    std::fill_n(row(3), cols, -1.5F);
    *(row(4) + 7) = std::numeric_limits<float>::quiet_NaN();
    *(row(5) + 31) = -std::numeric_limits<float>::infinity();
    *row(6) = std::numeric_limits<float>::max();
    for (std::size_t i = 0; i < cols; ++i) {  // steps of one: codes and numbers that tie
      const auto k = static_cast<float>(i % kGroup);
      *(row(7) + i) = i % kGroup == 0 ? -126.5F : i % kGroup == 1 ? 126.5F : (k + 0.5F) / (i % 2 == 0 ? 1 : 256);
    }
    *(row(8) + 5) = 1e6F;
    const GroupedActivations expected = rounded(reference::quantize_grouped_row, x, kRows);
    const GroupedActivations got = rounded(kernel().run, x, kRows);
    const GroupedRows& a = expected.rows();
    const GroupedRows& b = got.rows();
    for (std::size_t r = 0; r < kRows; ++r) {
      SCOPED_TRACE("row " + std::to_string(r) + " of " + std::to_string(cols));
      EXPECT_TRUE(
          std::equal(a.wide + r * a.wide_words(), a.wide + (r + 1) * a.wide_words(), b.wide + r * b.wide_words()));
      for (std::size_t g = 0; g < cols / kGroup; ++g) {
        const std::size_t place = a.place(r, g);
        EXPECT_EQ(std::memcmp(a.codes + place * kGroup, b.codes + place * kGroup, kGroup), 0);
        EXPECT_EQ(std::isnan(a.terms[place].step), (r == 4 || r == 5) && g == 0);
        expect_equal(a.terms[place], b.terms[place]);
        const bool wide = (a.wide[r * a.wide_words() + g / 64] >> g % 64 & 1U) != 0;
        if (!wide) continue;
        expect_equal(a.rest_terms[place], b.rest_terms[place]);
        EXPECT_EQ(std::memcmp(a.rests + place * kGroup, b.rests + place * kGroup, kGroup), 0);
      }
    }
  }
}

TEST(QuantizeGroupedRow, GivesSixteenBitsToTheGroupsThatStandOutAlone) {
  const std::size_t cols = 1536;
  std::vector<float> x(2 * cols);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) * 0.01F - 0.5F;
  x[cols + 100] = 9;  // of group 3
  const GroupedActivations got = rounded(kernel_table().round_grouped_row.run, x, 2);
  const GroupedRows& rows = got.rows();
  EXPECT_EQ(n_wide(rows, 0), 0U);
  EXPECT_EQ(rows.wide[rows.wide_words()], std::uint64_t{1} << 3U);
  const std::size_t place = rows.place(1, 3);
  const float step = rows.terms[place].step;
  const float centre = step * static_cast<float>(rows.terms[place].centre) / kGroup;
  for (std::size_t i = 0; i < kGroup; ++i) {
    const auto code = static_cast<float>(rows.codes[place * kGroup + i]);
    const auto rest = static_cast<float>(rows.rests[place * kGroup + i]);
    EXPECT_NEAR(centre + step * (code + rest / 256), x[cols + 96 + i], 0.51F * step / 256);
  }
  const std::int8_t* const rests = rows.rests + place * kGroup;
  EXPECT_GT(std::count_if(rests, rests + kGroup, [](std::int8_t rest) { return rest != 0; }), 16);
}

TEST(QuantizeGroupedRow, AFewGroupsAtMostAreWide) {
  const std::vector<float> x = uneven_rows(50, 2048, 3);
  const GroupedActivations got = rounded(kernel_table().round_grouped_row.run, x, 50);
  std::size_t all = 0;
  for (std::size_t r = 0; r < 50; ++r) {
    EXPECT_LT(n_wide(got.rows(), r), got.rows().groups / kWide);
    all += n_wide(got.rows(), r);
  }
  EXPECT_GT(all, 50U);
}

}  // namespace
}  // namespace headwater::kernels::cpu
