#pragma once
// What kernels of attention over a quantised cache have in common: scales and minima of 16 tokens as floats.

#include <immintrin.h>

#include <cstddef>

#include "kernels/cpu/kv_code_scale.h"

// Files for different instruction sets include this: what is inline here must be inlined.

namespace headwater::kernels::cpu {

/// As group_scale() and group_minimum(), of 16 tokens.
[[gnu::always_inline]] inline __m512i widen_bytes(const std::byte* bytes) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}
[[gnu::always_inline]] inline __m512 group_scales(const std::byte* bytes) {
  const __m512i wide = widen_bytes(bytes);
  const __m512i bits = _mm512_add_epi32(_mm512_slli_epi32(wide, kScaleShift), _mm512_set1_epi32(kLeastScaleBits));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(wide, _mm512_set1_epi32(kNanScale));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7FC00000)));
}
[[gnu::always_inline]] inline __m512 group_minima(const std::byte* bytes) {
  return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(widen_bytes(bytes)), _mm512_set1_ps(kMinimumStep),
                          _mm512_set1_ps(kHighestMinimum));
}

/// 16 of bfloat16.
[[gnu::always_inline]] inline __m512 widen(const std::uint16_t* numbers) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

}  // namespace headwater::kernels::cpu
