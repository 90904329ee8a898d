// quantize_row_avx512(): 64 values at a time.

#include <immintrin.h>

#include "kernels/cpu/activations.h"

namespace headwater::kernels::cpu {
namespace {

inline __m512i magnitude(const float* x) {
  return _mm512_and_si512(_mm512_castps_si512(_mm512_loadu_ps(x)), _mm512_set1_epi32(0x7FFFFFFF));
}

/// As whole numbers the magnitudes of floats have the same order, and NaN is the greatest.
float greatest_magnitude(const float* x, std::size_t n) {
  __m512i a = _mm512_setzero_si512();
  __m512i b = a;
  for (std::size_t i = 0; i < n; i += kGroup) {
    a = _mm512_max_epi32(a, magnitude(x + i));
    b = _mm512_max_epi32(b, magnitude(x + i + 16));
  }
  const int bits = _mm512_reduce_max_epi32(_mm512_max_epi32(a, b));
  float greatest;
  __builtin_memcpy(&greatest, &bits, sizeof greatest);
  return greatest;
}

inline __m512i round(const float* x, __m512 factor) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor));
}

/// Numbers of a step, 16 each, to bytes. Packing takes them in blocks of four from each; `order` sets that right.
inline void store_step(__m512i a, __m512i b, __m512i c, __m512i d, std::int8_t* codes, std::size_t low) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i half = _mm512_set1_epi16(128);
  const __m512i first = _mm512_packs_epi32(a, b);
  const __m512i last = _mm512_packs_epi32(c, d);
  const __m512i first_high = _mm512_srai_epi16(_mm512_add_epi16(first, half), 8);
  const __m512i last_high = _mm512_srai_epi16(_mm512_add_epi16(last, half), 8);
  const __m512i first_low = _mm512_sub_epi16(first, _mm512_slli_epi16(first_high, 8));
  const __m512i last_low = _mm512_sub_epi16(last, _mm512_slli_epi16(last_high, 8));
  _mm512_storeu_si512(codes, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(first_high, last_high)));
  _mm512_storeu_si512(codes + low, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(first_low, last_low)));
}

/// The sum of 16 bytes.
inline int sum_half(const std::int8_t* codes) {
  // Bytes are taken for unsigned ones, 128 more each.
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  const __m128i eights = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(_mm_add_epi64(eights, _mm_unpackhi_epi64(eights, eights))) -
         128 * static_cast<int>(kGroup / 2);
}
inline GroupSums sum_group(const std::int8_t* codes, std::size_t low) {
  constexpr std::size_t kHalf = kGroup / 2;
  return GroupSums::of(sum_half(codes), sum_half(codes + low), sum_half(codes + kHalf), sum_half(codes + low + kHalf));
}
inline void sum_groups(const std::int8_t* codes, std::size_t low, GroupSums* sums, bool both) {
  sums[0] = sum_group(codes, low);
  if (both) sums[1] = sum_group(codes + kGroup, low);
}

}  // namespace

void quantize_row_avx512(const float* x, const QuantizedRows& into, std::size_t row) {
  const RowFactors factors = row_factors(greatest_magnitude(x, into.groups * kGroup));
  into.scales[row] = factors.scale;
  GroupSums* sums = into.sums == nullptr ? nullptr : into.sums + row * into.groups;
  const __m512 factor = _mm512_set1_ps(factors.inverse);
  const __m512i zero = _mm512_setzero_si512();
  for (std::size_t step = 0; step < into.steps; ++step, x += kStep) {
    // 0 times an infinity or a NaN would not be 0.
    const bool first = factors.usable;
    const bool second = factors.usable && 2 * step + 1 < into.groups;
    const __m512i a = first ? round(x, factor) : zero;
    const __m512i b = first ? round(x + 16, factor) : zero;
    const __m512i c = second ? round(x + 32, factor) : zero;
    const __m512i d = second ? round(x + 48, factor) : zero;
    store_step(a, b, c, d, into.at(row, step), into.low);
    if (sums == nullptr) continue;
    sum_groups(into.at(row, step), into.low, sums + 2 * step, 2 * step + 1 < into.groups);
  }
}

}  // namespace headwater::kernels::cpu
