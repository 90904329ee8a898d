#include "model/kv_maps.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "tests/model/some_kv_maps.h"

namespace headwater::model {
namespace {

kernels::KvFormat format_of(bool rotate, bool balance) {
  kernels::KvFormat format;
  format.key_bits = format.value_bits = 8;
  format.rotate_keys = rotate;
  format.balance_keys = balance;
  return format;
}

/// m · x.
std::vector<float> mapped(const float* m, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    double sum = 0;
    for (std::size_t l = 0; l < x.size(); ++l) sum += double{m[i * x.size() + l]} * x[l];
    y[i] = static_cast<float>(sum);
  }
  return y;
}

double dot(const std::vector<float>& x, const std::vector<float>& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += double{x[i]} * y[i];
  return sum;
}

TEST(KvMaps, KeepEveryProductOfAQueryAndAKey) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const std::uint32_t dim : {8U, 24U, 64U, 80U}) {
    const LearntKvMaps learnt = test::some_kv_maps({2, 2, dim});
    for (const bool rotate : {false, true}) {
      for (const bool balance : {false, true}) {
        const kernels::KvMaps maps = maps_of_format(learnt, format_of(rotate, balance), true);
        std::vector<float> key(dim), query(dim);
        for (float& x : key) x = normal(random);
        for (float& x : query) x = normal(random);
        for (std::size_t head = 0; head < 4; ++head) {
          const std::size_t first = head * dim * dim;
          EXPECT_NEAR(dot(mapped(&maps.keys[first], key), mapped(&maps.queries[first], query)), dot(key, query),
                      1e-4 * std::sqrt(dot(key, key) * dot(query, query)));
        }
      }
    }
  }
}

/// The Hadamard matrix's number (i, l) for every n values, where n is the greatest power of two that divides dim.
double hadamard(std::size_t dim, std::size_t i, std::size_t l) {
  const std::size_t n = dim & -dim;
  if (i / n != l / n) return 0;
  return (std::popcount((i % n) & (l % n)) % 2 == 0 ? 1 : -1) / std::sqrt(double(n));
}

TEST(KvMaps, AreRotatedByHadamardMatricesOfPowersOfTwo) {
  for (const std::uint32_t dim : {8U, 24U, 64U, 80U, 96U}) {
    const LearntKvMaps learnt = test::some_kv_maps({1, 2, dim});
    for (const bool balance : {false, true}) {
      const kernels::KvMaps plain = maps_of_format(learnt, format_of(false, balance), false);
      const kernels::KvMaps rotated = maps_of_format(learnt, format_of(true, balance), false);
      for (std::size_t place = 0; place < plain.keys.size(); ++place) {
        const std::size_t head = place / (std::size_t{dim} * dim) * dim * dim;
        const std::size_t i = place % (std::size_t{dim} * dim) / dim;
        double key = 0;
        double query = 0;
        for (std::size_t l = 0; l < dim; ++l) {
          key += hadamard(dim, i, l) * plain.keys[head + l * dim + place % dim];
          query += hadamard(dim, i, l) * plain.queries[head + l * dim + place % dim];
        }
        ASSERT_NEAR(rotated.keys[place], key, 1e-4) << dim << ": " << place;
        ASSERT_NEAR(rotated.queries[place], query, 1e-3) << dim << ": " << place;
      }
    }
  }
}

TEST(KvMaps, OfAFormatHoldWhatTheFormatTakes) {
  const LearntKvMaps learnt = test::some_kv_maps({2, 1, 8});
  const kernels::KvMaps plain = maps_of_format(learnt, {}, true);
  EXPECT_EQ(plain.centres, learnt.centres);
  EXPECT_TRUE(plain.keys.empty() && plain.queries.empty() && plain.value_scales.empty());
  const kernels::KvMaps balanced = maps_of_format(learnt, format_of(false, true), false);
  EXPECT_TRUE(balanced.centres.empty());
  EXPECT_EQ(balanced.keys, learnt.keys);
  EXPECT_EQ(balanced.value_scales, learnt.value_scales);
  const kernels::KvMaps scaled = maps_of_format(learnt, format_of(false, false), false);
  EXPECT_EQ(scaled.keys[0], learnt.scales[0]);
  EXPECT_EQ(scaled.keys[1], 0);
}

TEST(KvMaps, AreNamedByEveryNumber) {
  kernels::KvMaps maps = maps_of_format(test::some_kv_maps({2, 1, 8}), format_of(true, true), true);
  const std::string name = digest_of(maps);
  EXPECT_EQ(name.size(), 16U);
  EXPECT_EQ(digest_of(maps), name);
  for (auto* part : {&maps.centres, &maps.keys, &maps.queries, &maps.value_scales}) {
    float& number = part->back();
    number = std::nextafter(number, 100.0F);
    EXPECT_NE(digest_of(maps), name);
    number = std::nextafter(number, -100.0F);
    ASSERT_EQ(digest_of(maps), name);
  }
}

TEST(KvMaps, AreFoundWhereTheyTakeABoundedRoom) {
  EXPECT_TRUE(has_maps({80, 8, 128}));
  EXPECT_TRUE(has_maps({26, 4, 256}));
  EXPECT_FALSE(has_maps({1, 1, 1 << 20}));
  EXPECT_FALSE(has_maps({1024, 1024, 1024}));
  EXPECT_EQ(kv_maps_bytes({30, 3, 64}), 2U * 2 * 4 * 30 * 3 * 64 * 64);
  EXPECT_EQ(kv_maps_bytes({1, 1, 1 << 20}), 0U);
}

}  // namespace
}  // namespace headwater::model
