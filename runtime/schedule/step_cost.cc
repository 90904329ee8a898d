#include "schedule/step_cost.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace headwater::schedule {
namespace {

// Rows of usual steps, so that the features are of one size.
constexpr double kDecodeUnit = 16;
constexpr double kPrefillUnit = 128;
/// How much what was known counts beside the steps that are remembered.
constexpr double kInertia = 1e-3;

/// Solves a x = b in place (Gauss, a is positive definite) for the `n` parts that are chosen.
template <std::size_t N>
void solve(std::array<std::array<double, N>, N>& a, std::array<double, N>& b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t row = i + 1; row < n; ++row) {
      const double factor = a[row][i] / a[i][i];
      for (std::size_t k = i; k < n; ++k) a[row][k] -= factor * a[i][k];
      b[row] -= factor * b[i];
    }
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
}

}  // namespace

StepCost::Vector StepCost::features(double decode, double prefill) {
  return {1, decode / kDecodeUnit, prefill / kPrefillUnit};
}

void StepCost::add(double decode, double prefill, double seconds) {
  if (!(seconds > 0) || decode + prefill <= 0) return;
  if (steps_ == kFewest) seconds = std::min(seconds, kMostSurprise * this->seconds(decode, prefill));
  steps_ = std::min(steps_ + 1, kFewest);
  const double keep = std::exp(-1 / kMemory);
  const Vector x = features(decode, prefill);
  for (std::size_t i = 0; i < kParts; ++i) {
    for (std::size_t k = 0; k < kParts; ++k) squares_[i][k] = squares_[i][k] * keep + x[i] * x[k];
    products_[i] = products_[i] * keep + x[i] * seconds;
  }
  weight_ = weight_ * keep + 1;
  stale_ = true;
}

double StepCost::seconds(double decode, double prefill) const {
  if (stale_) fit();
  const Vector x = features(decode, prefill);
  return x[0] * cost_[0] + x[1] * cost_[1] + x[2] * cost_[2];
}

/// The best costs of which none is negative: every choice of parts that cost something is tried.
void StepCost::fit() const {
  stale_ = false;
  const double ridge = kInertia * weight_;
  Vector best{};
  double least = std::numeric_limits<double>::infinity();
  for (unsigned chosen = 1; chosen < 1U << kParts; ++chosen) {
    std::array<Vector, kParts> a{};
    Vector b{};
    std::array<std::size_t, kParts> part{};
    std::size_t n = 0;
    for (std::size_t i = 0; i < kParts; ++i) {
      if ((chosen >> i & 1U) != 0) part[n++] = i;
    }
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < n; ++k) a[i][k] = squares_[part[i]][part[k]] + (i == k ? ridge : 0);
      b[i] = products_[part[i]] + ridge * cost_[part[i]];
    }
    solve(a, b, n);
    Vector cost{};
    bool possible = true;
    for (std::size_t i = 0; i < n; ++i) {
      cost[part[i]] = b[i];
      possible &= b[i] >= 0;
    }
    if (!possible) continue;
    double error = 0;  // but for what is the same for all choices
    for (std::size_t i = 0; i < kParts; ++i) {
      for (std::size_t k = 0; k < kParts; ++k) error += cost[i] * squares_[i][k] * cost[k];
      error += ridge * cost[i] * (cost[i] - 2 * cost_[i]) - 2 * cost[i] * products_[i];
    }
    if (error < least) {
      least = error;
      best = cost;
    }
  }
  cost_ = best;
}

}  // namespace headwater::schedule
