#include "model/rotary_means.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace headwater::model {
namespace {

using Vectors = std::vector<std::vector<double>>;

Vectors random_vectors(std::size_t n, std::size_t dim) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal(0.3, 1);
  Vectors vectors(n, std::vector<double>(dim));
  for (auto& vector : vectors) {
    for (double& x : vector) x = normal(random);
  }
  return vectors;
}

/// What rotary embedding makes of a vector at a position.
std::vector<double> turned(std::vector<double> x, const RotaryTable& table, double position) {
  for (std::size_t i = 0; i < table.frequencies.size(); ++i) {
    const double angle = position * table.frequencies[i];
    const double even = x[2 * i];
    const double odd = x[2 * i + 1];
    x[2 * i] = (even * std::cos(angle) - odd * std::sin(angle)) * table.magnitude;
    x[2 * i + 1] = (even * std::sin(angle) + odd * std::cos(angle)) * table.magnitude;
  }
  return x;
}

std::vector<double> mean_of(const Vectors& vectors) {
  std::vector<double> mean(vectors[0].size());
  for (const auto& x : vectors) {
    for (std::size_t i = 0; i < x.size(); ++i) mean[i] += x[i] / double(vectors.size());
  }
  return mean;
}

std::vector<double> moments_of(const Vectors& vectors) {
  const std::size_t dim = vectors[0].size();
  std::vector<double> moments(dim * dim);
  for (const auto& x : vectors) {
    for (std::size_t i = 0; i < dim; ++i) {
      for (std::size_t l = 0; l < dim; ++l) moments[i * dim + l] += x[i] * x[l] / double(vectors.size());
    }
  }
  return moments;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-9) << i;
}

TEST(RotaryMeans, AreThoseOfAllVectorsTurnedByAllPositions) {
  const RotaryTable tables[] = {
      {{1, 0.1F, 0.01F, 1e-4F}, 1},  // all turn
      {{1, 0.003F}, 1.3F},           // some do, and grow
      {{0.5F, 0.5F, 2 * 0.5F}, 1},   // two turn alike
      {{}, 1},                       // none does
  };
  for (const RotaryTable& table : tables) {
    for (const std::uint32_t n_positions : {1U, 2U, 300U}) {
      for (const std::size_t dim : {std::size_t{8}, std::size_t{9}}) {
        SCOPED_TRACE(std::to_string(table.frequencies.size()) + " pairs, " + std::to_string(n_positions) +
                     " positions, heads of " + std::to_string(dim));
        const Vectors vectors = random_vectors(5, dim);
        Vectors met;
        for (const auto& x : vectors) {
          for (std::uint32_t p = 0; p < n_positions; ++p) met.push_back(turned(x, table, p));
        }
        const RotaryMeans means(table, std::uint32_t(dim), n_positions);
        expect_near(means.mean(mean_of(vectors)), mean_of(met));
        expect_near(means.second_moments(moments_of(vectors)), moments_of(met));
      }
    }
  }
}

TEST(RotaryMeans, OfATurnAreExactNearWholeTurnsAndBoundedEverywhere) {
  EXPECT_EQ(mean_turn(0, 4096), std::complex<double>(1));
  EXPECT_NEAR(std::abs(mean_turn(1e-13, 4096) - 1.0), 0, 1e-9);
  EXPECT_NEAR(std::abs(mean_turn(2 * M_PI, 4096) - 1.0), 0, 1e-9);
  for (const double angle : {1e-300, 3.0, 6.2831853, 1e9, 1e38})
    EXPECT_LE(std::abs(mean_turn(angle, 4096)), 1) << angle;
}

}  // namespace
}  // namespace headwater::model
