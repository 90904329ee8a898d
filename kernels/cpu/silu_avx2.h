#pragma once
// silu(gate) * up for kernels in AVX2. ops.cc does the same, operation by operation: the same bits where it runs with
// AVX2, too.

#include <immintrin.h>

#include "kernels/cpu/exp2_avx2.h"
#include "kernels/cpu/silu.h"

namespace headwater::kernels::cpu {

[[gnu::always_inline]] static inline __m256 silu_mul(__m256 gate, __m256 up) {
  // The second operand stays if it is a NaN.
  const __m256 g = _mm256_max_ps(_mm256_set1_ps(silu::kLowest), gate);
  const __m256 power = exp2_to_1e7(_mm256_mul_ps(g, _mm256_set1_ps(silu::kMinusLog2E)));
  const __m256 sum = _mm256_add_ps(power, _mm256_set1_ps(1.0F));
  const __m256 guess = _mm256_rcp_ps(sum);
  const __m256 inverse = _mm256_mul_ps(guess, _mm256_fnmadd_ps(sum, guess, _mm256_set1_ps(2.0F)));
  return _mm256_mul_ps(_mm256_mul_ps(g, inverse), up);
}

}  // namespace headwater::kernels::cpu
