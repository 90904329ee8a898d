#include "kernels/cpu/half_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/half_matrix.h"
#include "tests/kernels/values.h"
#include "tests/kernels/weights.h"

namespace headwater::kernels::cpu {
namespace {

class HalfProduct : public testing::Test {
 protected:
  void SetUp() override {
    if (!cpu_features().avx2) GTEST_SKIP() << "this processor has no AVX2";
  }
};

/// A panel by hand, with the rows that are multiplied by it.
struct Product {
  std::size_t k, rows, columns;
  std::vector<std::uint16_t> panel;
  std::vector<float> scales, x;

  Product(std::size_t k, std::size_t rows, std::size_t columns)
      : k(k), rows(rows), columns(columns), panel(k * kHalfPanel), x(random_values(rows * k, 3)) {
    const std::vector<float> values = random_values(panel.size(), 4);
    to_half_avx2(values.data(), values.size(), 1, panel.data());
    scales.assign(kHalfPanel, 0.25F);
  }
  std::vector<float> run(void (*kernel)(const HalfTask&)) const {
    std::vector<float> sums(rows * kHalfPanel);
    std::vector<float> out(rows * (columns + 1), -7.0F);
    kernel({panel.data(), scales.data(), k, x.data(), rows, sums.data(), out.data(), columns + 1, columns});
    for (std::size_t r = 0; r < rows; ++r) EXPECT_EQ(out[r * (columns + 1) + columns], -7.0F) << "written past the end";
    return out;
  }
};

TEST_F(HalfProduct, GivesTheBitsOfTheReference) {
  for (const std::size_t k : {1, 5, 31, 576, 2048, 5000}) {
    for (const std::size_t rows : {1, 2, 3, 4, 5, 7, 16}) {
      for (const std::size_t columns : {1, 9, 32}) {
        const Product product(k, rows, columns);
        ASSERT_EQ(product.run(half_product_avx2), product.run(half_product_reference))
            << k << ", " << rows << " rows, " << columns << " columns";
      }
    }
  }
}

TEST_F(HalfProduct, IsThatOfTheFilesWeightsToElevenBits) {
  ThreadPool pool(2);
  WeightMemory memory;
  for (const DType type : {DType::q4_1, DType::q8_0, DType::q6_k}) {
    const Weights weights = make_weights(type, 67, 512, 1);
    const HalfMatrix matrix({&weights.tensor, 1}, memory, pool);
    const std::vector<float> x = random_values(std::size_t{5} * 512, 2);
    std::vector<float> out(std::size_t{5} * 67);
    matrix.multiply(x.data(), 5, out.data(), pool);
    for (std::size_t n = 0; n < 5; ++n) {
      for (std::size_t r = 0; r < 67; ++r) {
        double exact = 0;
        double all = 0;
        for (std::size_t i = 0; i < 512; ++i) {
          const double term = double{weights.values[r * 512 + i]} * x[n * 512 + i];
          exact += term;
          all += std::abs(term);
        }
        ASSERT_NEAR(out[n * 67 + r], exact, all / 2040) << name(type);
      }
    }
  }
}

TEST_F(HalfProduct, KeepsWeightsOf16BitsAsTheyAreHoweverGreatOrSmall) {
  ThreadPool pool(1);
  WeightMemory memory;
  // Of a column each: ones, the greatest and the least that are no subnormal numbers of bfloat16, and nothing.
  const std::vector<std::uint16_t> bf16 = {0x3F80, 0xBF81, 0x7F7F, 0xFF00, 0x0080, 0x8081, 0, 0};
  const HostTensor tensor{reinterpret_cast<const std::byte*>(bf16.data()), DType::bf16, 4, 2};
  const HalfMatrix matrix({&tensor, 1}, memory, pool);
  const std::vector<float> x = {1, 0, 0, 1};
  std::vector<float> out(8);
  matrix.multiply(x.data(), 2, out.data(), pool);
  for (std::size_t i = 0; i < 8; ++i) {
    std::vector<float> row(2);
    dequantize_row(tensor, i % 4, row);
    EXPECT_EQ(out[i], row[i / 4]) << i;
  }
}

TEST_F(HalfProduct, ARowHasTheSameBitsAloneAndInAnyCompany) {
  ThreadPool pool(3);
  WeightMemory memory;
  const Weights weights = make_weights(DType::q4_k, 200, 2560, 1);
  const HalfMatrix matrix({&weights.tensor, 1}, memory, pool);
  std::vector<float> x = random_values(20 * std::size_t{2560}, 2);
  x[4 * 2560 + 7] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> all(std::size_t{20} * 200);
  matrix.multiply(x.data(), 20, all.data(), pool);
  for (std::size_t r = 0; r < 20; ++r) {
    std::vector<float> alone(200);
    matrix.multiply(x.data() + r * 2560, 1, alone.data(), pool);
    for (std::size_t i = 0; i < 200; ++i) {
      if (r == 4) {
        EXPECT_TRUE(std::isnan(alone[i]) && std::isnan(all[r * 200 + i]));
      } else {
        ASSERT_EQ(alone[i], all[r * 200 + i]) << r;
      }
    }
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
