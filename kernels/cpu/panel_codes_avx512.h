#pragma once
// Codes of panels (see product.h) in vectors, a byte each.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {

/// Quad `i` of K of a group, for all columns. codes: the group's, not nibbles.
template <PanelFormat kFormat>
[[gnu::always_inline]] inline __m512i load_quad(const std::byte* codes, int i) {
  static_assert(!has_nibbles(kFormat));
  if constexpr (has_sixes(kFormat)) {
    const std::byte* four = codes + i / 4 * 3 * 64;
    const __m512i six = _mm512_set1_epi8(63);
    if (i % 4 < 3) return _mm512_and_si512(_mm512_load_si512(four + 64 * (i % 4)), six);
    // What the shifts bring along from other bits is left out: a mask says which bits are the first operand's.
    constexpr int kChoose = 0xE4;
    const __m512i upper = _mm512_srli_epi16(_mm512_load_si512(four), 2);
    const __m512i middle = _mm512_srli_epi16(_mm512_load_si512(four + 64), 4);
    const __m512i lower = _mm512_srli_epi16(_mm512_load_si512(four + 128), 6);
    const __m512i two = _mm512_ternarylogic_epi32(upper, middle, _mm512_set1_epi8(0x30), kChoose);
    return _mm512_and_si512(_mm512_ternarylogic_epi32(two, lower, _mm512_set1_epi8(0x3C), kChoose), six);
  } else {
    return _mm512_load_si512(codes + 64 * i);
  }
}

/// Four bytes of a row's activations, for all columns.
[[gnu::always_inline]] inline __m512i quad(const std::int8_t* codes, int i) {
  int four;
  __builtin_memcpy(&four, codes + std::ptrdiff_t{4} * i, 4);
  return _mm512_set1_epi32(four);
}

/// 16 numbers of 16 bits, in 32.
[[gnu::always_inline]] inline __m512i widen(const std::int16_t* numbers) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers)));
}

}  // namespace headwater::kernels::cpu
