// quantize_grouped_row_avx512(): 32 values at a time.

#include <immintrin.h>

#include "kernels/cpu/grouped_rounding.h"
#include "kernels/cpu/grouped_rows.h"

namespace headwater::kernels::cpu {
namespace {

inline Ends ends_of(const float* x) {
  const __m512 a = _mm512_loadu_ps(x);
  const __m512 b = _mm512_loadu_ps(x + 16);
  constexpr int kNotFinite = 0x99;  // either NaN, either infinity
  if ((_mm512_fpclass_ps_mask(a, kNotFinite) | _mm512_fpclass_ps_mask(b, kNotFinite)) != 0) {
    return {0, __builtin_nanf("")};
  }
  const __m512 zero = _mm512_setzero_ps();
  return {_mm512_reduce_min_ps(_mm512_min_ps(_mm512_min_ps(a, b), zero)),
          _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(a, b), zero))};
}

/// The sum of 16 bytes: taken for unsigned ones, 128 more each.
inline int sum(__m128i bytes) {
  const __m128i eights = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(_mm_add_epi64(eights, _mm_unpackhi_epi64(eights, eights))) - 128 * 16;
}

/// 16 values as numbers of 16 bits: 256 · code + rest.
struct Half {
  __m128i codes, rests;
};
inline Half round(const float* x, const GroupScale8& scale) {
  __m512i number = _mm512_setzero_si512();
  if (scale.usable) {
    number = _mm512_sub_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(scale.inverse))),
                              _mm512_set1_epi32(256 * scale.centre));
  }
  const __m512i code = _mm512_srai_epi32(_mm512_add_epi32(number, _mm512_set1_epi32(128)), 8);
  const __m512i rest = _mm512_sub_epi32(number, _mm512_slli_epi32(code, 8));
  return {_mm512_cvtepi32_epi8(code), _mm512_cvtepi32_epi8(rest)};
}

inline void store(__m128i first, __m128i last, std::int8_t* at) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm256_set_m128i(last, first));
}
inline RoundedSums round_group(const float* x, const GroupScale8& scale, bool wide, std::int8_t* codes,
                               std::int8_t* rests) {
  Half first = round(x, scale);
  Half last = round(x + kGroup / 2, scale);
  if (!wide) first.rests = last.rests = _mm_setzero_si128();
  store(first.codes, last.codes, codes);
  store(first.rests, last.rests, rests);
  const CodeSums code_sums = {sum(first.codes), sum(last.codes)};
  return {code_sums, wide ? CodeSums{sum(first.rests), sum(last.rests)} : CodeSums{}};
}

}  // namespace

void quantize_grouped_row_avx512(const float* x, const GroupedRows& into, std::size_t row) {
  round_groups(x, into, row, ends_of, round_group);
}

}  // namespace headwater::kernels::cpu
