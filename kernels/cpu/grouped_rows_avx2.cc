// quantize_grouped_row_avx2(): a group at a time.

#include <immintrin.h>

#include "kernels/cpu/grouped_rounding.h"
#include "kernels/cpu/grouped_rows.h"

namespace headwater::kernels::cpu {
namespace {

/// Calls combine() for pairs of lanes until one is left.
template <class Combine>
inline float reduce(__m256 x, const Combine& combine) {
  const __m128 four = combine(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = combine(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(combine(two, _mm_movehdup_ps(two)));
}

inline Ends ends_of(const float* x) {
  __m256 low = _mm256_setzero_ps();
  __m256 high = low;
  __m256i magnitude = _mm256_setzero_si256();
  for (std::size_t i = 0; i < kGroup; i += 8) {
    const __m256 values = _mm256_loadu_ps(x + i);
    low = _mm256_min_ps(low, values);
    high = _mm256_max_ps(high, values);
    // As whole numbers magnitudes have the same order, and what is not finite comes last.
    const __m256i bits = _mm256_and_si256(_mm256_castps_si256(values), _mm256_set1_epi32(0x7FFFFFFF));
    magnitude = _mm256_max_epi32(magnitude, bits);
  }
  const __m256i not_finite = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7F7FFFFF));
  if (_mm256_testz_si256(not_finite, not_finite) == 0) return {0, __builtin_nanf("")};
  return {reduce(low, [](__m128 a, __m128 b) { return _mm_min_ps(a, b); }),
          reduce(high, [](__m128 a, __m128 b) { return _mm_max_ps(a, b); })};
}

/// Of 32 bytes.
inline CodeSums sum(__m256i bytes) {
  // Taken for unsigned ones, 128 more each.
  const __m256i eights = _mm256_sad_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
  const __m256i halves = _mm256_add_epi64(eights, _mm256_unpackhi_epi64(eights, eights));
  const int first = _mm_cvtsi128_si32(_mm256_castsi256_si128(halves)) - 128 * 16;
  return {first, _mm_cvtsi128_si32(_mm256_extracti128_si256(halves, 1)) - 128 * 16};
}

/// 32 values as numbers of 16 bits: 256 · code + rest.
struct Bytes {
  __m256i codes, rests;
};
inline Bytes round(const float* x, const GroupScale8& scale) {
  if (!scale.usable) return {_mm256_setzero_si256(), _mm256_setzero_si256()};
  const __m256 inverse = _mm256_set1_ps(scale.inverse);
  const __m256i centre = _mm256_set1_epi32(256 * scale.centre);
  const auto eight = [&](std::size_t i) {
    return _mm256_sub_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse)), centre);
  };
  // Packing takes four of each at a time, in either half: `order` sets that right.
  const __m256i first = _mm256_packs_epi32(eight(0), eight(8));
  const __m256i last = _mm256_packs_epi32(eight(16), eight(24));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto pack = [&](__m256i a, __m256i b) { return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order); };
  const auto code = [](__m256i number) {
    return _mm256_srai_epi16(_mm256_add_epi16(number, _mm256_set1_epi16(128)), 8);
  };
  const auto rest = [&](__m256i number) { return _mm256_sub_epi16(number, _mm256_slli_epi16(code(number), 8)); };
  return {pack(code(first), code(last)), pack(rest(first), rest(last))};
}

inline RoundedSums round_group(const float* x, const GroupScale8& scale, bool wide, std::int8_t* codes,
                               std::int8_t* rests) {
  const Bytes bytes = round(x, scale);
  const auto store = [](std::int8_t* at, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), value); };
  store(codes, bytes.codes);
  if (wide) store(rests, bytes.rests);
  return {sum(bytes.codes), wide ? sum(bytes.rests) : CodeSums{}};
}

}  // namespace

void quantize_grouped_row_avx2(const float* x, const GroupedRows& into, std::size_t row) {
  round_groups(x, into, row, ends_of, round_group);
}

}  // namespace headwater::kernels::cpu
