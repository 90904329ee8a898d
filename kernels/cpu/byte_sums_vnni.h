#pragma once
// Exact sums of codes times numbers that are rounded to 16 bits in two bytes, for attention_quantized_vnni.cc.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention_avx512.h"

// What is inline here must be inlined: it is for machines with AVX-512 VNNI alone.

namespace headwater::kernels::cpu::byte_sums {

inline constexpr std::size_t kLanes = 16;
/// The greatest whole number: of 256 of them, times codes of 8 bits, the sum has 32 bits.
inline constexpr float kWhole = 127 * 256;

/// Whole numbers, and both bytes of each.
struct Whole {
  __m512i number;
  __m128i high, low;
};
/// Zero for a NaN.
[[gnu::always_inline]] inline Whole round(__m512 x, __m512 inverse) {
  const __m512i number = whole_numbers(x, inverse);
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(number, _mm512_set1_epi32(128)), 8);
  const __m512i low = _mm512_sub_epi32(number, _mm512_slli_epi32(high, 8));
  return {number, _mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low)};
}

/// Sums of products of bytes for N rows and V vectors.
template <std::size_t N, std::size_t V>
struct ByteSums {
  __m512i high[N][V], low[N][V];

  [[gnu::always_inline]] inline ByteSums() {
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) high[q][v] = low[q][v] = _mm512_setzero_si512();
    }
  }
  /// quads: those of the first row; the rows' are kRow bytes apart, and low bytes kLow behind high ones.
  template <std::size_t kRow, std::size_t kLow>
  [[gnu::always_inline]] inline void add(const __m512i (&codes)[V], const std::int8_t* quads) {
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
      const __m512i above = quad(quads + q * kRow);
      const __m512i below = quad(quads + q * kRow + kLow);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) {
        high[q][v] = _mm512_dpbusd_epi32(high[q][v], codes[v], above);
        low[q][v] = _mm512_dpbusd_epi32(low[q][v], codes[v], below);
      }
    }
  }
  [[gnu::always_inline]] inline __m512 at(std::size_t q, std::size_t v) const {
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high[q][v], 8), low[q][v]));
  }

 private:
  [[gnu::always_inline]] static inline __m512i quad(const std::int8_t* bytes) {
    std::int32_t all;
    __builtin_memcpy(&all, bytes, sizeof(all));
    return _mm512_set1_epi32(all);
  }
};

/// V vectors of words side by side, or of their lower or upper halves.
template <std::size_t V>
struct Words {
  __m512i bytes[V], lower[V], upper[V];

  [[gnu::always_inline]] inline void load(const std::byte* from) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) bytes[v] = _mm512_loadu_si512(from + v * sizeof(__m512i));
  }
  [[gnu::always_inline]] inline void spread() {
    const __m512i mask = _mm512_set1_epi8(0x0F);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      lower[v] = _mm512_and_si512(bytes[v], mask);
      upper[v] = _mm512_and_si512(_mm512_srli_epi16(bytes[v], 4), mask);
    }
  }
};

}  // namespace headwater::kernels::cpu::byte_sums
