// AVX2 and F16C: three rows and 32 columns have a sum in a register each.

#include <immintrin.h>

#include "kernels/cpu/half_product.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kVectors = kHalfPanel / kLanes;
/// Rows that share a weight that has become a float.
constexpr std::size_t kRows = 3;
/// Values of K whose weights stay in the second-level cache while all rows go by.
constexpr std::size_t kAtOnce = 2048;

/// Adds the products of values [first, end) of K to the sums of N rows.
template <std::size_t N>
inline void add(const HalfTask& task, std::size_t row, std::size_t first, std::size_t end) {
  float* const at = task.sums + row * kHalfPanel;
  const float* const x = task.x + row * task.k;
  __m256 sums[N][kVectors];
#pragma GCC unroll 3
  for (std::size_t r = 0; r < N; ++r) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      sums[r][v] = first == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(at + r * kHalfPanel + v * kLanes);
    }
  }
  for (std::size_t k = first; k < end; ++k) {
    __m256 values[N];
#pragma GCC unroll 3
    for (std::size_t r = 0; r < N; ++r) values[r] = _mm256_set1_ps(x[r * task.k + k]);
    const std::uint16_t* const weights = task.panel + k * kHalfPanel;
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      const __m256 weight = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + v * kLanes)));
#pragma GCC unroll 3
      for (std::size_t r = 0; r < N; ++r) sums[r][v] = _mm256_fmadd_ps(weight, values[r], sums[r][v]);
    }
  }
#pragma GCC unroll 3
  for (std::size_t r = 0; r < N; ++r) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) _mm256_storeu_ps(at + r * kHalfPanel + v * kLanes, sums[r][v]);
  }
}

}  // namespace

void half_product_avx2(const HalfTask& task) {
  for (std::size_t first = 0; first < task.k; first += kAtOnce) {
    const std::size_t end = first + kAtOnce < task.k ? first + kAtOnce : task.k;
    std::size_t row = 0;
    for (; row + kRows <= task.rows; row += kRows) add<kRows>(task, row, first, end);
    if (row + 2 == task.rows) add<2>(task, row, first, end);
    if (row + 1 == task.rows) add<1>(task, row, first, end);
  }
  for (std::size_t row = 0; row < task.rows; ++row) {
    for (std::size_t c = 0; c < task.columns; ++c) {
      task.out[row * task.out_stride + c] = task.sums[row * kHalfPanel + c] * task.scales[c];
    }
  }
}

void to_half_avx2(const float* x, std::size_t n, float scale, std::uint16_t* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = _cvtss_sh(x[i] * scale, _MM_FROUND_TO_NEAREST_INT);
}

}  // namespace headwater::kernels::cpu
