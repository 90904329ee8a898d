#pragma once
// Codes of panels (see product.h) in vectors of 256 bits, a byte each: eight columns at a time.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/product.h"

// What is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

/// Columns of a vector.
inline constexpr std::size_t kLanes256 = 8;

/// Quad `i` of K of a group, for eight columns. codes: the group's, from the first of these columns on.
template <PanelFormat kFormat>
[[gnu::always_inline]] inline __m256i load_quad_256(const std::byte* codes, int i) {
  const auto load = [&](int at) __attribute__((always_inline)) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + std::ptrdiff_t{64} * at));
  };
  if constexpr (has_sixes(kFormat)) {
    const int four = i / 4 * 3;
    if (i % 4 < 3) return _mm256_and_si256(load(four + i % 4), _mm256_set1_epi8(63));
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(load(four), 2), _mm256_set1_epi8(0x30));
    const __m256i middle = _mm256_and_si256(_mm256_srli_epi16(load(four + 1), 4), _mm256_set1_epi8(0x0C));
    const __m256i lower = _mm256_and_si256(_mm256_srli_epi16(load(four + 2), 6), _mm256_set1_epi8(0x03));
    return _mm256_or_si256(upper, _mm256_or_si256(middle, lower));
  } else if constexpr (!has_nibbles(kFormat)) {
    return load(i);
  } else {
    const __m256i both = load(i % 4);
    return _mm256_and_si256(i >= 4 ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
  }
}

/// Four bytes of a row's activations, for all columns.
[[gnu::always_inline]] inline __m256i quad_256(const std::int8_t* codes, int i) {
  int four;
  __builtin_memcpy(&four, codes + std::ptrdiff_t{4} * i, 4);
  return _mm256_set1_epi32(four);
}

/// The value, from here on in a register: the compiler would have all products wait for their sum, and keep an address
/// for each, on the stack.
[[gnu::always_inline]] inline __m256i settled(__m256i value) {
  asm("" : "+x"(value));
  return value;
}
[[gnu::always_inline]] inline __m256 settled(__m256 value) {
  asm("" : "+x"(value));
  return value;
}
template <class T>
[[gnu::always_inline]] inline const T* settled(const T* value) {
  asm volatile("" : "+r"(value));  // no two are taken for the same
  return value;
}

}  // namespace headwater::kernels::cpu
