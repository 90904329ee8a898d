#pragma once
// 2^x for kernels in AVX2. exp2-inl.h does the same, operation by operation.

#include <immintrin.h>

#include "kernels/cpu/exp2.h"

namespace headwater::kernels::cpu {

/// 2^x for x < 128, to 1e-7; 2^-126 for all below -126; a NaN stays.
[[gnu::always_inline]] static inline __m256 exp2_to_1e7(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(kLowestPower), x);  // the second operand stays if it is a NaN
  const __m256 whole = _mm256_floor_ps(x);
  const __m256 r = _mm256_sub_ps(x, whole);
  __m256 p = _mm256_set1_ps(kExp2[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp2[i]));
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvttps_epi32(whole), 23);
  const __m256 power = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
  return _mm256_blendv_ps(power, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

}  // namespace headwater::kernels::cpu
