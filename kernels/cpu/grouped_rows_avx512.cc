// quantize_grouped_row_avx512(): what is needed once a group is computed for 16 groups at a time.

#include <immintrin.h>

#include "kernels/cpu/grouped_rows.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kTogether = 16;

/// combine(all lanes of x[i]), for each i a lane. x is overwritten.
template <class Combine>
inline __m512 reduce(__m512 (&x)[kTogether], const Combine& combine) {
  const auto pairs = [](__m512 a) { return _mm512_castps_pd(a); };
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kTogether; i += 2) {
    x[i] = combine(_mm512_unpacklo_ps(x[i], x[i + 1]), _mm512_unpackhi_ps(x[i], x[i + 1]));
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kTogether; i += 4) {  // then a vector's quarters are parts of four
    const __m512d a = pairs(x[i]);
    const __m512d b = pairs(x[i + 2]);
    x[i] = combine(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
#pragma GCC unroll 2
  for (std::size_t i = 0; i < kTogether; i += 8) {
    x[i] = combine(_mm512_shuffle_f32x4(x[i], x[i + 4], 0x44), _mm512_shuffle_f32x4(x[i], x[i + 4], 0xEE));
  }
  return combine(_mm512_shuffle_f32x4(x[0], x[8], 0x88), _mm512_shuffle_f32x4(x[0], x[8], 0xDD));
}

/// The least and the greatest values of groups and 0; NaN if one is not finite.
struct Ends {
  __m512 low, high;
};
/// n: groups of x, at most kTogether.
inline Ends ends_of(const float* x, std::size_t n) {
  const __m512 zero = _mm512_setzero_ps();
  __m512 low[kTogether];
  __m512 high[kTogether];
  unsigned not_finite = 0;
  for (std::size_t g = n; g < kTogether; ++g) low[g] = high[g] = zero;
  for (std::size_t g = 0; g < n; ++g) {
    const __m512 a = _mm512_loadu_ps(x + g * kGroup);
    const __m512 b = _mm512_loadu_ps(x + g * kGroup + kGroup / 2);
    constexpr int kNotFinite = 0x99;  // either NaN, either infinity
    const unsigned found = _mm512_fpclass_ps_mask(a, kNotFinite) | _mm512_fpclass_ps_mask(b, kNotFinite);
    not_finite |= static_cast<unsigned>(found != 0) << g;
    low[g] = _mm512_min_ps(_mm512_min_ps(a, b), zero);
    high[g] = _mm512_max_ps(_mm512_max_ps(a, b), zero);
  }
  const auto bad = static_cast<__mmask16>(not_finite);
  const __m512 lows = reduce(low, [](__m512 a, __m512 b) { return _mm512_min_ps(a, b); });
  const __m512 highs = reduce(high, [](__m512 a, __m512 b) { return _mm512_max_ps(a, b); });
  return {_mm512_mask_mov_ps(lows, bad, zero), _mm512_mask_mov_ps(highs, bad, _mm512_set1_ps(__builtin_nanf("")))};
}

/// As group_scale() has them, of kTogether groups, and which are wide.
struct Scales {
  alignas(64) float step[kTogether], inverse[kTogether];
  alignas(64) int centre[kTogether];
  __mmask16 usable, wide;
};
/// bound: what a wide group's width squared is greater than, times the number of groups.
inline Scales scales_of(const Ends& ends, double n_groups, double bound) {
  Scales scales;
  const __m512 width = _mm512_sub_ps(ends.high, ends.low);
  const __mmask16 not_too_wide = _mm512_cmp_ps_mask(width, _mm512_set1_ps(3.4028235E38F), _CMP_LE_OQ);
  scales.usable = _mm512_mask_cmp_ps_mask(not_too_wide, width, _mm512_set1_ps(1e-30F), _CMP_GE_OQ);
  const __m512 steps = _mm512_set1_ps(kGroupSteps);
  const __m512 inverse = _mm512_maskz_div_ps(scales.usable, _mm512_mul_ps(_mm512_set1_ps(256), steps), width);
  const __m512 middle =
      _mm512_mul_ps(_mm512_add_ps(ends.low, ends.high), _mm512_mul_ps(inverse, _mm512_set1_ps(1.0F / 512)));
  const __m512 step = _mm512_maskz_div_ps(scales.usable, width, steps);
  const __m512 nan = _mm512_set1_ps(__builtin_nanf(""));
  _mm512_store_ps(scales.step, _mm512_mask_mov_ps(nan, not_too_wide, step));
  _mm512_store_ps(scales.inverse, inverse);
  _mm512_store_si512(scales.centre, _mm512_maskz_cvtps_epi32(scales.usable, middle));
  const auto wide = [&](__m256 half) {
    const __m512d of = _mm512_cvtps_pd(half);
    const __m512d square = _mm512_mul_pd(_mm512_mul_pd(of, of), _mm512_set1_pd(n_groups));
    return static_cast<unsigned>(_mm512_cmp_pd_mask(square, _mm512_set1_pd(bound), _CMP_GT_OQ));
  };
  scales.wide =
      static_cast<__mmask16>(wide(_mm512_castps512_ps256(width)) | wide(_mm512_extractf32x8_ps(width, 1)) << 8U);
  return scales;
}

/// The sums of the first 16 and of the last 16.
struct CodeSums {
  int first, last;
};
inline CodeSums sums(__m256i bytes) {
  // Taken for unsigned ones, 128 more each.
  const __m256i eights = _mm256_sad_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
  const __m256i halves = _mm256_add_epi64(eights, _mm256_unpackhi_epi64(eights, eights));
  const int first = _mm_cvtsi128_si32(_mm256_castsi256_si128(halves)) - 128 * 16;
  return {first, _mm_cvtsi128_si32(_mm256_extracti128_si256(halves, 1)) - 128 * 16};
}

/// 32 values as numbers of 16 bits: 256 · code + rest.
inline __m512i numbers(const float* x, float inverse, int centre, bool usable) {
  const auto all = static_cast<__mmask16>(usable ? 0xFFFF : 0);  // else there may be a NaN
  const __m512i middle = _mm512_set1_epi32(256 * centre);
  const auto half = [&](const float* from) {
    const __m512 scaled = _mm512_maskz_mul_ps(all, _mm512_loadu_ps(from), _mm512_set1_ps(inverse));
    return _mm512_cvtepi32_epi16(_mm512_sub_epi32(_mm512_cvtps_epi32(scaled), middle));
  };
  return _mm512_inserti64x4(_mm512_castsi256_si512(half(x)), half(x + kGroup / 2), 1);
}

inline void store(std::int8_t* at, __m256i bytes) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), bytes); }

}  // namespace

void quantize_grouped_row_avx512(const float* x, const GroupedRows& rows, std::size_t row) {
  const GroupedRows into = rows;  // what is written to might be part of `rows`, for all that the compiler knows
  const std::size_t first_place = into.place(row, 0);
  constexpr std::size_t kMostGroups = kGreatestK / kGroup;
  Ends ends[kMostGroups / kTogether];
  double squares = 0;
  for (std::size_t first = 0; first < into.groups; first += kTogether) {
    const std::size_t n = into.groups - first < kTogether ? into.groups - first : kTogether;
    const Ends& found = ends[first / kTogether] = ends_of(x + first * kGroup, n);
    alignas(64) float widths[kTogether];
    _mm512_store_ps(widths, _mm512_sub_ps(found.high, found.low));
    for (std::size_t g = 0; g < n; ++g) squares += static_cast<double>(widths[g]) * static_cast<double>(widths[g]);
  }
  std::uint64_t* const wide = into.wide + row * into.wide_words();
  for (std::size_t i = 0; i < into.wide_words(); ++i) wide[i] = 0;
  for (std::size_t first = 0; first < into.groups; first += kTogether) {
    const std::size_t n = into.groups - first < kTogether ? into.groups - first : kTogether;
    const Scales scales = scales_of(ends[first / kTogether], static_cast<double>(into.groups), kWide * squares);
    wide[first / 64] |= std::uint64_t{scales.wide} << first % 64;
    for (std::size_t g = 0; g < n; ++g) {
      const std::size_t place = first_place + (first + g) * into.height;
      const bool usable = (scales.usable >> g & 1U) != 0;
      const __m512i number = numbers(x + (first + g) * kGroup, scales.inverse[g], scales.centre[g], usable);
      const __m512i code = _mm512_srai_epi16(_mm512_add_epi16(number, _mm512_set1_epi16(128)), 8);
      const __m256i codes = _mm512_cvtepi16_epi8(code);
      store(into.codes + place * kGroup, codes);
      const CodeSums of_codes = sums(codes);
      into.terms[place] = GroupTerms::of(scales.step[g], scales.centre[g], of_codes.first, of_codes.last);
      if ((scales.wide >> g & 1U) == 0) continue;
      const __m256i rests = _mm512_cvtepi16_epi8(_mm512_sub_epi16(number, _mm512_slli_epi16(code, 8)));
      store(into.rests + place * kGroup, rests);
      const CodeSums of_rests = sums(rests);
      into.rest_terms[place] = GroupTerms::of(scales.step[g] / 256, 0, of_rests.first, of_rests.last);
    }
  }
}

}  // namespace headwater::kernels::cpu
