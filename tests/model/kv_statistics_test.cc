#include "model/kv_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace headwater::model {
namespace {

constexpr std::size_t kHeads = 6, kKvHeads = 2, kDim = 5;
constexpr std::size_t kStride = (kHeads + 2 * kKvHeads) * kDim;

std::vector<float> random_rows(std::uint32_t n) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.5F, 2);
  std::vector<float> rows(n * kStride);
  for (float& x : rows) x = normal(random);
  return rows;
}

/// The mean of products of numbers i and l over heads first … first + n_heads - 1 of all rows but the skipped.
double mean_product(const std::vector<float>& rows, std::uint32_t skipped, std::size_t first, std::size_t n_heads,
                    std::size_t i, std::size_t l) {
  double sum = 0;
  std::size_t n = 0;
  for (std::size_t row = skipped; row < rows.size() / kStride; ++row) {
    for (std::size_t head = first; head < first + n_heads; ++head, ++n) {
      const float* x = rows.data() + row * kStride + head * kDim;
      sum += double{x[i]} * x[l];
    }
  }
  return sum / double(n);
}

TEST(KvStatistics, AreMeansOverTheTokensOfAHeadAndOfItsGroup) {
  for (const std::uint32_t n_rows : {1U, 4U, 7U, 30U}) {
    const std::uint32_t skipped = n_rows > 4 ? 2 : 0;
    const std::vector<float> numbers = random_rows(n_rows);
    for (std::uint32_t head = 0; head < kKvHeads; ++head) {
      const HeadStatistics found = head_statistics({numbers, n_rows, kHeads, kKvHeads, kDim}, head, skipped, true);
      double value_square = 0;
      for (std::size_t i = 0; i < kDim; ++i) {
        double mean = 0;
        for (std::size_t row = skipped; row < n_rows; ++row) {
          mean += double{numbers[row * kStride + (kHeads + head) * kDim + i]} / (n_rows - skipped);
        }
        EXPECT_NEAR(found.key_mean[i], mean, 1e-9);
        for (std::size_t l = 0; l < kDim; ++l) {
          EXPECT_NEAR(found.keys[i * kDim + l], mean_product(numbers, skipped, kHeads + head, 1, i, l), 1e-9);
          EXPECT_NEAR(found.queries[i * kDim + l], mean_product(numbers, skipped, std::size_t{head} * 3, 3, i, l),
                      1e-9);
        }
        value_square += mean_product(numbers, skipped, kHeads + kKvHeads + head, 1, i, i) / kDim;
      }
      EXPECT_NEAR(found.value_square, value_square, 1e-9);
    }
  }
}

TEST(KvStatistics, LeaveMomentsOutWhereNobodyAskedForThem) {
  const std::vector<float> numbers = random_rows(8);
  const HeadStatistics found = head_statistics({numbers, 8, kHeads, kKvHeads, kDim}, 1, 4, false);
  EXPECT_TRUE(found.keys.empty());
  EXPECT_TRUE(found.queries.empty());
  EXPECT_EQ(found.key_mean, head_statistics({numbers, 8, kHeads, kKvHeads, kDim}, 1, 4, true).key_mean);
}

TEST(KvStatistics, KeepWhatIsNotFiniteToItsHead) {
  std::vector<float> numbers = random_rows(8);
  numbers[5 * kStride + kHeads * kDim] = NAN;
  const QkvRows rows{numbers, 8, kHeads, kKvHeads, kDim};
  EXPECT_TRUE(std::isnan(head_statistics(rows, 0, 4, true).keys[0]));
  for (const double x : head_statistics(rows, 1, 4, true).keys) EXPECT_TRUE(std::isfinite(x));
}

}  // namespace
}  // namespace headwater::model
