#pragma once
// 2^x for kernels in AVX-512. exp2-inl.h does the same, operation by operation.

#include <immintrin.h>

#include "kernels/cpu/exp2.h"

namespace headwater::kernels::cpu {

/// 2^x for x < 128, to 1e-7; 2^-126 for all below -126; a NaN stays.
[[gnu::always_inline]] static inline __m512 exp2_to_1e7(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(kLowestPower), x);  // the second operand stays if it is a NaN
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(kExp2[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2[i]));
  return _mm512_scalef_ps(p, whole);
}

/// 2^x for x <= 0, to 1e-4, by a minimax polynomial of 2^r on [0, 1) with value 1 at 0.
[[gnu::always_inline]] static inline __m512 exp2_to_1e4(__m512 x) {
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(0.0770673528F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.227644652F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.695116878F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, x);
}

}  // namespace headwater::kernels::cpu
