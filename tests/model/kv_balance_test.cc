#include "model/kv_balance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace headwater::model {
namespace {

using Numbers = std::vector<double>;

Numbers product(const Numbers& a, const Numbers& b, std::size_t n) {
  Numbers c(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) {
      for (std::size_t l = 0; l < n; ++l) c[i * n + l] += a[i * n + k] * b[k * n + l];
    }
  }
  return c;
}

Numbers transposed(const Numbers& a, std::size_t n) {
  Numbers b(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t l = 0; l < n; ++l) b[l * n + i] = a[i * n + l];
  }
  return b;
}

Numbers wide(const std::vector<float>& x) { return {x.begin(), x.end()}; }

/// Second moments of random vectors whose channels have sizes from 1 to `widest` and go together.
Numbers random_moments(std::size_t n, double widest, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Numbers mix(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t l = 0; l < n; ++l) mix[i * n + l] = normal(random) * std::pow(widest, double(i) / double(n - 1));
  }
  return product(mix, transposed(mix, n), n);
}

Numbers with_ridge(Numbers moments, std::size_t n) {
  double trace = 0;
  for (std::size_t i = 0; i < n; ++i) trace += moments[i * n + i];
  for (std::size_t i = 0; i < n; ++i) moments[i * n + i] += 1e-3 * trace / double(n);
  return moments;
}

HeadSpread random_spread(std::size_t n) {
  return {Numbers(n, 2.5), random_moments(n, 300, 1), random_moments(n, 50, 2)};
}

double trace(const Numbers& a, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += a[i * n + i];
  return sum;
}

/// Whether keysᵀ · queries is the identity.
void expect_inverse(const HeadMaps& maps, std::size_t n) {
  const Numbers one = product(transposed(wide(maps.keys), n), wide(maps.queries), n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t l = 0; l < n; ++l) EXPECT_NEAR(one[i * n + l], i == l ? 1 : 0, 1e-3) << i << ' ' << l;
  }
}

TEST(KvBalance, GivesEveryChannelOfKeysAsMuchSpreadAsItsQueriesHaveWeight) {
  for (const std::size_t n : {2U, 7U, 64U, 80U}) {
    const HeadSpread spread = random_spread(n);
    const HeadMaps maps = balance(spread);
    const Numbers keys = wide(maps.keys);
    const Numbers queries = wide(maps.queries);
    const Numbers spread_of_keys = product(product(keys, with_ridge(spread.keys, n), n), transposed(keys, n), n);
    const Numbers weight_of_queries =
        product(product(queries, with_ridge(spread.queries, n), n), transposed(queries, n), n);
    // The scale of maps makes them proportional.
    const double ratio = trace(weight_of_queries, n) / trace(spread_of_keys, n);
    const double size = trace(spread_of_keys, n) / double(n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t l = 0; l < n; ++l) {
        const double x = spread_of_keys[i * n + l];
        EXPECT_NEAR(x * ratio, weight_of_queries[i * n + l], 1e-3 * size * ratio) << n << ": " << i << ' ' << l;
        if (i != l) {
          EXPECT_NEAR(x, 0, 1e-3 * size) << n << ": " << i << ' ' << l;
        }
      }
    }
    expect_inverse(maps, n);
    EXPECT_EQ(maps.centre, std::vector<float>(n, 2.5F));
  }
}

TEST(KvBalance, PutsTheWidestChannelsWhereAGroupOf32HasThemInCommon) {
  constexpr std::size_t kDim = 128;
  const HeadSpread spread = random_spread(kDim);
  const Numbers keys = wide(balance(spread).keys);
  const Numbers mapped = product(product(keys, with_ridge(spread.keys, kDim), kDim), transposed(keys, kDim), kDim);
  const auto spread_of = [&](std::size_t i) { return mapped[i * kDim + i]; };
  for (std::size_t i : {0U, 32U, 64U, 96U}) {
    EXPECT_LT(spread_of(i + 1), spread_of(96)) << i;
    if (i > 0) {
      EXPECT_LT(spread_of(i), spread_of(i - 32)) << i;
    }
  }
  for (std::size_t i = 2; i < kDim; ++i) {
    if (i % 32 > 1) {
      EXPECT_LT(spread_of(i), spread_of(i - 1)) << i;
    }
  }
}

TEST(KvBalance, GivesMappedAndScaledKeysAMeanSquareOfOne) {
  constexpr std::size_t kDim = 16;
  const HeadSpread spread = random_spread(kDim);
  const HeadMaps maps = balance(spread);
  const Numbers keys = wide(maps.keys);
  EXPECT_NEAR(trace(product(product(keys, spread.keys, kDim), transposed(keys, kDim), kDim), kDim) / kDim, 1, 1e-3);
  EXPECT_NEAR(trace(spread.keys, kDim) / kDim * maps.scale * maps.scale, 1, 1e-3);
}

TEST(KvBalance, LowersTheErrorThatQueriesSee) {
  constexpr std::size_t kDim = 32;
  HeadSpread spread = random_spread(kDim);
  spread.queries = random_moments(kDim, 0.01, 2);  // they look at the narrow channels
  const HeadMaps maps = balance(spread);
  // Rounding errors go with the size of what is rounded, alike in all rotated channels, and are seen through queries.
  const Numbers queries = wide(maps.queries);
  const double seen = trace(product(product(queries, spread.queries, kDim), transposed(queries, kDim), kDim), kDim);
  const double seen_before = trace(spread.queries, kDim) / (maps.scale * maps.scale);
  EXPECT_LT(seen, 0.2 * seen_before);
}

TEST(KvBalance, OfKeysOrQueriesThatDoNotVaryIsFinite) {
  constexpr std::size_t kDim = 8;
  const Numbers zeros(kDim * kDim);
  const Numbers some = random_moments(kDim, 10, 3);
  Numbers one_channel = zeros;
  one_channel[0] = 1e6;
  for (const Numbers& keys : {zeros, some, one_channel}) {
    for (const Numbers& queries : {zeros, some, one_channel}) {
      const HeadMaps maps = balance({Numbers(kDim, 1), keys, queries});
      expect_inverse(maps, kDim);
      EXPECT_EQ(maps.centre[0], 1);
      EXPECT_TRUE(std::isfinite(maps.scale) && maps.scale > 0);
    }
  }
}

TEST(KvBalance, OfWhatIsNotFiniteIsTheIdentity) {
  constexpr std::size_t kDim = 4;
  const Numbers some = random_moments(kDim, 10, 3);
  Numbers bad = some;
  bad[5] = std::numeric_limits<double>::infinity();
  const HeadSpread spreads[] = {
      {Numbers(kDim, NAN), some, some}, {Numbers(kDim), bad, some}, {Numbers(kDim), some, bad}};
  for (const HeadSpread& spread : spreads) {
    const HeadMaps maps = balance(spread);
    for (std::size_t i = 0; i < kDim * kDim; ++i) {
      EXPECT_EQ(maps.keys[i], i % (kDim + 1) == 0 ? 1 : 0);
      EXPECT_EQ(maps.queries[i], maps.keys[i]);
    }
    EXPECT_EQ(maps.centre, std::vector<float>(kDim));
    EXPECT_EQ(maps.scale, 1);
  }
}

TEST(KvBalance, OfNumbersOfAnySizeIsFinite) {
  constexpr std::size_t kDim = 6;
  for (const double size : {1e-300, 1e-60, 1e-30, 1e-10, 1e10, 1e30, 1e76, 1e300}) {
    HeadSpread spread = random_spread(kDim);
    for (double& x : spread.keys) x *= size;
    for (double& x : spread.queries) x /= size;
    spread.centre.assign(kDim, size);
    const HeadMaps maps = balance(spread);
    expect_inverse(maps, kDim);
    for (const float x : maps.centre) EXPECT_TRUE(std::isfinite(x)) << size;
    EXPECT_TRUE(std::isfinite(maps.scale) && maps.scale > 0) << size;
  }
}

TEST(KvBalance, ScalesValuesByAPowerOfTwoThatBringsThemNearOne) {
  EXPECT_EQ(value_scale(1), 1);
  EXPECT_EQ(value_scale(0.0625), 4);
  EXPECT_EQ(value_scale(100), 0.125);
  for (const double none : {0.0, -1.0, double(NAN), double(INFINITY)}) EXPECT_EQ(value_scale(none), 1) << none;
  EXPECT_TRUE(std::isfinite(value_scale(1e-300)));
  EXPECT_GT(value_scale(1e300), 0);
}

}  // namespace
}  // namespace headwater::model
