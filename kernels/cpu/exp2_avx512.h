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

}  // namespace headwater::kernels::cpu
