#include "model/kv_balance.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

// One head is one thread's work, so that sums have one order.
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>

namespace headwater::model {
namespace {

using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatSquare = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

bool finite(std::span<const double> numbers) {
  return std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); });
}

/// 1 / sqrt(mean_square), where floats can hold what it is multiplied with. 1: it is no such number.
double scale_to_one(double mean_square) {
  constexpr double kLeast = 1e-20;
  constexpr double kMost = 1e20;
  return mean_square > kLeast && mean_square < kMost ? 1 / std::sqrt(mean_square) : 1;
}

/// Of mean 1 along the diagonal, and a thousandth more. What is zero becomes the identity.
Square regular(const Square& moments) {
  constexpr double kRidge = 1e-3;
  const double mean = moments.trace() / static_cast<double>(moments.rows());
  const Square one = Square::Identity(moments.rows(), moments.rows());
  return mean > 0 ? Square(moments / mean + kRidge * one) : one;
}

struct Maps {
  Square keys, queries;
};

/// Where the rows of A go, that of the most spread first.
std::vector<Eigen::Index> places_by_spread(Eigen::Index n) {
  constexpr Eigen::Index kGroup = 32;  // of the cache in 4 bits
  const Eigen::Index step = std::min(n & -n, kGroup);
  std::vector<Eigen::Index> places;
  places.reserve(static_cast<std::size_t>(n));
  for (Eigen::Index i = 0; i < n; i += step) places.push_back(i);
  for (Eigen::Index i = 0; i < n; ++i) {
    if (i % step != 0) places.push_back(i);
  }
  return places;
}

/// A and A⁻ᵀ; nothing: rounding has left no maps to find.
std::optional<Maps> find_maps(const Square& of_keys, const Square& of_queries) {
  const Square spread = regular(of_keys);
  const Eigen::LLT<Square> root(spread);
  if (root.info() != Eigen::Success) return std::nullopt;
  const Square lower = root.matrixL();
  const Square weighed = lower.transpose() * regular(of_queries) * lower;
  const Eigen::SelfAdjointEigenSolver<Square> found(weighed);
  if (found.info() != Eigen::Success) return std::nullopt;
  const Eigen::VectorXd& squares = found.eigenvalues();
  const double most = squares.maxCoeff();
  if (!(most > 0)) return std::nullopt;
  constexpr double kLeast = 1e-14;  // of the greatest: below is what rounding leaves
  const Eigen::VectorXd roots = squares.cwiseMax(most * kLeast).array().sqrt().sqrt();
  const Square turned = found.eigenvectors() * roots.asDiagonal();
  const Square inverse = lower * found.eigenvectors() * roots.cwiseInverse().asDiagonal();
  const Square rows_of_keys = root.matrixU().solve(turned).transpose();
  Maps maps{Square(spread.rows(), spread.rows()), Square(spread.rows(), spread.rows())};
  Eigen::Index row = spread.rows();  // eigenvalues ascend
  for (const Eigen::Index place : places_by_spread(spread.rows())) {
    --row;
    maps.keys.row(place) = rows_of_keys.row(row);
    maps.queries.row(place) = inverse.col(row).transpose();
  }
  const double n = static_cast<double>(spread.rows());
  double mean_square = (maps.keys * of_keys * maps.keys.transpose()).trace() / n;
  if (!(mean_square > 0)) mean_square = (maps.keys * spread * maps.keys.transpose()).trace() / n;
  const double scale = scale_to_one(mean_square);
  maps.keys *= scale;
  maps.queries /= scale;
  return maps;
}

/// Whether floats hold both so well that one undoes the other.
bool undo_each_other(const FloatSquare& keys, const FloatSquare& queries) {
  constexpr float kOff = 1e-3F;
  const FloatSquare product = keys.transpose() * queries - FloatSquare::Identity(keys.rows(), keys.rows());
  return product.allFinite() && product.cwiseAbs().maxCoeff() < kOff;
}

}  // namespace

HeadMaps balance(const HeadSpread& spread) {
  const std::size_t dim = spread.centre.size();
  const auto n = static_cast<Eigen::Index>(dim);
  HeadMaps head;
  head.centre.resize(dim);
  head.keys.resize(dim * dim);
  head.queries.resize(dim * dim);
  Eigen::Map<FloatSquare> keys(head.keys.data(), n, n);
  Eigen::Map<FloatSquare> queries(head.queries.data(), n, n);
  keys.setIdentity();
  queries.setIdentity();
  if (!finite(spread.centre) || !finite(spread.keys) || !finite(spread.queries)) return head;

  head.centre = narrow_centre(spread.centre);
  const Square of_keys = Eigen::Map<const Square>(spread.keys.data(), n, n);
  head.scale = static_cast<float>(scale_to_one(of_keys.trace() / static_cast<double>(n)));
  keys *= head.scale;
  queries /= head.scale;
  const auto maps = find_maps(of_keys, Eigen::Map<const Square>(spread.queries.data(), n, n));
  if (!maps) return head;
  const FloatSquare mapped_keys = maps->keys.cast<float>();
  const FloatSquare mapped_queries = maps->queries.cast<float>();
  if (!undo_each_other(mapped_keys, mapped_queries)) return head;
  keys = mapped_keys;
  queries = mapped_queries;
  return head;
}

std::vector<float> narrow_centre(std::span<const double> centre) {
  constexpr double kMost = 1e30;  // of what is added and multiplied later
  std::vector<float> narrow(centre.size());
  if (!std::ranges::all_of(centre, [](double x) { return std::abs(x) < kMost; })) return narrow;
  std::ranges::transform(centre, narrow.begin(), [](double x) { return static_cast<float>(x); });
  return narrow;
}

float value_scale(double mean_square) {
  if (!std::isfinite(mean_square) || mean_square <= 0) return 1;
  constexpr double kMost = 60;
  return static_cast<float>(std::exp2(std::clamp(std::round(-std::log2(mean_square) / 2), -kMost, kMost)));
}

}  // namespace headwater::model
