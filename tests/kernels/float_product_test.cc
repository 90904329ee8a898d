#include "kernels/cpu/float_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu {
namespace {

struct Shape {
  std::uint32_t rows, cols;
};
void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.rows << "x" << shape.cols; }
/// The real model's, a long sum, and awkward ones. The library splits sums where cols are many.
constexpr Shape kShapes[] = {{960, 576}, {576, 576}, {576, 1536}, {256, 4096}, {101, 577}, {33, 64}, {7, 5}, {1, 1}};
constexpr std::uint32_t kMostRows = 300;

std::vector<float> random_values(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

/// Inputs of a product in the type that it reads.
class Inputs {
 public:
  explicit Inputs(std::vector<float> values) : wide_(std::move(values)), narrow_(wide_.size()) {
    to_bf16(wide_.data(), wide_.size(), narrow_.data());
  }
  const void* from(std::size_t i) const {
    return has_bf16_products() ? static_cast<const void*>(narrow_.data() + i) : wide_.data() + i;
  }
  double operator[](std::size_t i) const {
    return has_bf16_products() ? std::bit_cast<float>(std::uint32_t{narrow_[i]} << 16U) : wide_[i];
  }

 private:
  std::vector<float> wide_;
  std::vector<std::uint16_t> narrow_;
};

HostTensor tensor(const std::vector<float>& values, Shape shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), DType::f32, shape.rows, shape.cols};
}

std::vector<float> multiply(const PackedMatrix& matrix, const Inputs& x, std::uint32_t first, std::uint32_t rows) {
  std::vector<float> out(std::size_t{padded_rows(rows)} * matrix.rows());
  matrix.multiply(x.from(std::size_t{first} * matrix.cols()), rows, out.data());
  out.resize(std::size_t{rows} * matrix.rows());
  return out;
}

class FloatProduct : public testing::TestWithParam<Shape> {
 protected:
  Shape shape() const { return GetParam(); }
  Inputs inputs(unsigned seed = 2) const {
    return Inputs(random_values((std::size_t{kMostRows} + 16) * shape().cols, seed));
  }
  std::vector<float> weights() const { return random_values(std::size_t{shape().rows} * shape().cols, 1); }
};

TEST_P(FloatProduct, AgreesWithSumsInDoublePrecision) {
  const auto values = weights();
  const Inputs rounded(values);
  const Inputs x = inputs();
  const HostTensor part = tensor(values, shape());
  Products products(2);
  const auto matrix = products.pack({&part, 1});
  for (const std::uint32_t rows : {1U, 3U, 17U}) {
    const auto out = multiply(*matrix, x, 0, rows);
    for (std::uint32_t r = 0; r < rows; ++r) {
      for (std::uint32_t c = 0; c < shape().rows; ++c) {
        double sum = 0;
        double magnitude = 0;
        for (std::size_t k = 0; k < shape().cols; ++k) {
          const double term = x[std::size_t{r} * shape().cols + k] * rounded[std::size_t{c} * shape().cols + k];
          sum += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(out[std::size_t{r} * shape().rows + c], sum, 1e-5 * magnitude)
            << rows << " rows, at " << r << ", " << c;
      }
    }
  }
}

TEST_P(FloatProduct, ARowIsBitIdenticalInAnyCompanyAndOnAnyThreads) {
  const auto values = weights();
  const HostTensor part = tensor(values, shape());
  const Inputs x = inputs();
  Products one_thread(1);
  const auto alone = one_thread.pack({&part, 1});
  std::vector<float> expected;
  for (std::uint32_t r = 0; r < kMostRows; ++r) {
    const auto row = multiply(*alone, x, r, 1);
    expected.insert(expected.end(), row.begin(), row.end());
  }
  for (const int threads : {1, 2, 3}) {
    Products products(threads);
    const auto matrix = products.pack({&part, 1});
    for (const std::uint32_t rows : {2U,   3U,   7U,   8U,   16U,  17U,  33U,  48U,  64U,  65U, 96U,
                                     100U, 128U, 150U, 160U, 192U, 224U, 256U, 257U, 288U, 300U}) {
      const auto out = multiply(*matrix, x, kMostRows - rows, rows);
      const auto* want = expected.data() + std::size_t{kMostRows - rows} * shape().rows;
      EXPECT_TRUE(std::equal(out.begin(), out.end(), want)) << rows << " rows on " << threads << " threads";
    }
  }
}

TEST_P(FloatProduct, AStackOfPartsIsTheMatrixOfAllTheirRows) {
  if (shape().rows < 2) return;
  const auto values = weights();
  const HostTensor whole = tensor(values, shape());
  const HostTensor parts[] = {{whole.data, DType::f32, 1, shape().cols},
                              {whole.data + sizeof(float) * shape().cols, DType::f32, shape().rows - 1, shape().cols}};
  const Inputs x = inputs();
  Products products(2);
  EXPECT_EQ(multiply(*products.pack(parts), x, 0, 5), multiply(*products.pack({&whole, 1}), x, 0, 5));
}

TEST_P(FloatProduct, ANanInOneRowStaysThere) {
  const auto values = weights();
  const HostTensor part = tensor(values, shape());
  auto x = random_values(std::size_t{16} * shape().cols, 3);
  Products products(2);
  const auto matrix = products.pack({&part, 1});
  const auto healthy = multiply(*matrix, Inputs(x), 0, 5);
  x[std::size_t{2} * shape().cols] = std::numeric_limits<float>::quiet_NaN();
  const auto got = multiply(*matrix, Inputs(x), 0, 5);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (i / shape().rows == 2) {
      EXPECT_TRUE(std::isnan(got[i]));
    } else {
      EXPECT_EQ(got[i], healthy[i]);
    }
  }
}

TEST_P(FloatProduct, AlwaysHasAKernelForTheTile) {
  const auto values = weights();
  const HostTensor part = tensor(values, shape());
  Products products(2);
  const auto tiles = products.pack({&part, 1})->tiles();
  EXPECT_TRUE(std::ranges::is_sorted(tiles));
  EXPECT_NE(std::ranges::find(tiles, 16U), tiles.end());
}

INSTANTIATE_TEST_SUITE_P(Shapes, FloatProduct, testing::ValuesIn(kShapes), [](const auto& test) {
  return std::to_string(test.param.rows) + "x" + std::to_string(test.param.cols);
});

}  // namespace
}  // namespace headwater::kernels::cpu
