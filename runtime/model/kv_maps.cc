#include "model/kv_maps.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "model/sha256.h"

namespace headwater::model {
namespace {

/// m = H m / sqrt(n) for every n rows of m [dim, dim], where n is the greatest power of two that divides dim: each
/// column is rotated as kernels rotate a vector.
void rotate_columns(float* m, std::size_t dim) {
  const std::size_t n = dim & -dim;
  for (std::size_t half = 1; half < n; half *= 2) {
    for (std::size_t row = 0; row < dim; ++row) {
      if ((row & half) != 0) continue;
      float* const a = m + row * dim;
      float* const b = a + half * dim;
      for (std::size_t i = 0; i < dim; ++i) {
        const float sum = a[i] + b[i];
        b[i] = a[i] - b[i];
        a[i] = sum;
      }
    }
  }
  const float scale = 1 / std::sqrt(static_cast<float>(n));
  for (std::size_t i = 0; i < dim * dim; ++i) m[i] *= scale;
}

/// The identity times `scale` in place of m [dim, dim].
void make_diagonal(float* m, std::size_t dim, float scale) {
  std::fill_n(m, dim * dim, 0.0F);
  for (std::size_t i = 0; i < dim; ++i) m[i * dim + i] = scale;
}

}  // namespace

bool has_maps(const KvSizes& sizes) {
  constexpr std::size_t kMostDims = 1024;
  constexpr std::size_t kMostNumbers = std::size_t{1} << 28U;  // of all keys' maps
  return sizes.head_dim <= kMostDims && sizes.heads() * sizes.head_dim * sizes.head_dim <= kMostNumbers;
}

std::uint64_t kv_maps_bytes(const KvSizes& sizes) {
  constexpr std::uint64_t kCopies = 2;
  return has_maps(sizes) ? kCopies * 2 * sizeof(float) * sizes.heads() * sizes.head_dim * sizes.head_dim : 0;
}

kernels::KvMaps maps_of_format(const LearntKvMaps& learnt, const kernels::KvFormat& format, bool centre) {
  kernels::KvMaps maps;
  if (centre) maps.centres = learnt.centres;
  if (!format.quantised() || learnt.keys.empty()) return maps;
  maps.value_scales = learnt.value_scales;
  maps.keys = learnt.keys;
  maps.queries = learnt.queries;
  const std::size_t dim = learnt.sizes.head_dim;
  for (std::size_t head = 0; head < learnt.sizes.heads(); ++head) {
    float* const keys = maps.keys.data() + head * dim * dim;
    float* const queries = maps.queries.data() + head * dim * dim;
    if (!format.balance_keys) {
      make_diagonal(keys, dim, learnt.scales[head]);
      make_diagonal(queries, dim, 1 / learnt.scales[head]);
    }
    if (format.rotate_keys) {
      rotate_columns(keys, dim);
      rotate_columns(queries, dim);
    }
  }
  return maps;
}

std::string digest_of(const kernels::KvMaps& maps) {
  Sha256 sha256;
  sha256.add(kKvLearningVersion);
  for (const auto* part : {&maps.centres, &maps.keys, &maps.queries, &maps.value_scales}) {
    sha256.add_all(*part);
  }
  const Sha256Digest digest = sha256.finish();
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    text += kDigits[digest[i] >> 4U];
    text += kDigits[digest[i] & 15U];
  }
  return text;
}

}  // namespace headwater::model
