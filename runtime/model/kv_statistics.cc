#include "model/kv_statistics.h"

#include <cstddef>
#include <utility>

namespace headwater::model {
namespace {

/// Adds the products of four vectors' numbers to the upper triangle of `sums` [dim, dim].
void add_products(const float* const (&x)[4], std::size_t dim, double* sums) {
  for (std::size_t i = 0; i < dim; ++i) {
    const double a = x[0][i];
    const double b = x[1][i];
    const double c = x[2][i];
    const double d = x[3][i];
    double* row = sums + i * dim;
    for (std::size_t l = i; l < dim; ++l) row[l] += (a * x[0][l] + b * x[1][l]) + (c * x[2][l] + d * x[3][l]);
  }
}

/// Mean products of the numbers of vectors that lie `stride` numbers apart, [dim, dim].
class SecondMoments {
 public:
  explicit SecondMoments(std::size_t dim) : dim_(dim), sums_(dim * dim), zeros_(dim) {}

  void add(const float* first, std::size_t stride, std::size_t n) {
    const auto vector = [&](std::size_t i) { return i < n ? first + i * stride : zeros_.data(); };
    for (std::size_t i = 0; i < n; i += 4) {
      add_products({vector(i), vector(i + 1), vector(i + 2), vector(i + 3)}, dim_, sums_.data());
    }
    n_ += n;
  }

  std::vector<double> mean() && {
    for (std::size_t i = 0; i < dim_; ++i) {
      for (std::size_t l = i; l < dim_; ++l) {
        const double mean = sums_[i * dim_ + l] / static_cast<double>(n_);
        sums_[i * dim_ + l] = sums_[l * dim_ + i] = mean;
      }
    }
    return std::move(sums_);
  }

 private:
  std::size_t dim_, n_ = 0;
  std::vector<double> sums_;
  std::vector<float> zeros_;
};

}  // namespace

HeadStatistics head_statistics(const QkvRows& rows, std::uint32_t kv_head, std::uint32_t skipped, bool with_moments) {
  const std::size_t dim = rows.head_dim;
  const std::size_t stride = (rows.n_heads + 2 * std::size_t{rows.n_kv_heads}) * dim;
  const std::size_t group = rows.n_heads / rows.n_kv_heads;
  const std::size_t n = rows.n_rows - skipped;
  const float* first = rows.numbers.data() + skipped * stride;
  const float* keys = first + (rows.n_heads + kv_head) * dim;
  const float* values = keys + rows.n_kv_heads * dim;

  HeadStatistics found;
  found.key_mean.resize(dim);
  for (std::size_t row = 0; row < n; ++row) {
    for (std::size_t i = 0; i < dim; ++i) {
      found.key_mean[i] += keys[row * stride + i];
      const double value = values[row * stride + i];
      found.value_square += value * value;
    }
  }
  for (double& mean : found.key_mean) mean /= static_cast<double>(n);
  found.value_square /= static_cast<double>(n * dim);
  if (!with_moments) return found;
  SecondMoments of_keys(dim);
  of_keys.add(keys, stride, n);
  found.keys = std::move(of_keys).mean();
  SecondMoments of_queries(dim);
  for (std::size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    of_queries.add(first + head * dim, stride, n);
  }
  found.queries = std::move(of_queries).mean();
  return found;
}

}  // namespace headwater::model
