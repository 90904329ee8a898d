#pragma once
// Where results of a panel's columns go (see product.h), in vectors of 256 bits.

#include <immintrin.h>

#include <cstddef>

#include "kernels/cpu/product.h"
#include "kernels/cpu/silu_avx2.h"

// What is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

/// values: of row `row` of the task, columns [column, column + 8) of the panel.
[[gnu::always_inline]] inline void store_results(const PanelResults& results, std::size_t row, std::size_t column,
                                                 __m256 values) {
  if (results.gate != nullptr) values = silu_mul(_mm256_load_ps(results.gate + row * kPanel + column), values);
  float* const out = results.out + row * results.stride + column;
  const int columns = results.columns >> column & 0xFF;
  if (columns == 0xFF) return _mm256_storeu_ps(out, values);
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i mine = _mm256_and_si256(_mm256_set1_epi32(columns), bits);
  _mm256_maskstore_ps(out, _mm256_cmpeq_epi32(mine, bits), values);
}

}  // namespace headwater::kernels::cpu
