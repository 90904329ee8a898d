#pragma once
// silu(gate) * up for kernels in AVX-512. ops.cc does the same, operation by operation: the same bits.

#include <immintrin.h>

#include "kernels/cpu/exp2_avx512.h"
#include "kernels/cpu/silu.h"

namespace headwater::kernels::cpu {

[[gnu::always_inline]] static inline __m512 silu_mul(__m512 gate, __m512 up) {
  // The second operand stays if it is a NaN.
  const __m512 g = _mm512_max_ps(_mm512_set1_ps(silu::kLowest), gate);
  const __m512 power = exp2_to_1e7(_mm512_mul_ps(g, _mm512_set1_ps(silu::kMinusLog2E)));
  const __m512 sum = _mm512_add_ps(power, _mm512_set1_ps(1.0F));
  const __m512 guess = _mm512_rcp14_ps(sum);
  const __m512 inverse = _mm512_mul_ps(guess, _mm512_fnmadd_ps(sum, guess, _mm512_set1_ps(2.0F)));
  return _mm512_mul_ps(_mm512_mul_ps(g, inverse), up);
}

}  // namespace headwater::kernels::cpu
