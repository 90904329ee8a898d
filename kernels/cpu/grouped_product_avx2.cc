// AVX2: products of bytes have sums of 16 bits, as many of which are added as they have room for.

#include "kernels/cpu/grouped_product_256.h"

namespace headwater::kernels::cpu {
namespace {

/// For each quad, two sums of two products.
inline __m256i products(const TwoQuads& quads, const std::int8_t* bytes, int i) {
  return _mm256_maddubs_epi16(quads.codes[i], quad_256(bytes, quads.at[i]));
}

/// A byte is at least -128, so that sums of 16 bits hold a whole group: 16 · 15 · 128 is less than 2^15.
template <PanelFormat kFormat>
class Dot {
 public:
  [[gnu::always_inline]] void add(const TwoQuads& quads, const std::int8_t* bytes) {
    sum_ = settled(_mm256_add_epi16(sum_, products(quads, bytes, 0)));
    sum_ = settled(_mm256_add_epi16(sum_, products(quads, bytes, 1)));
  }
  [[gnu::always_inline]] __m256i times(const Factor& factor) const { return _mm256_madd_epi16(sum_, factor.pairs); }

 private:
  static_assert(has_nibbles(kFormat));
  __m256i sum_ = _mm256_setzero_si256();
};

/// Four products with a code of 6 bits: 4 · 63 · 128 is less than 2^15.
template <PanelFormat kFormat>
requires(has_sixes(kFormat)) class Dot<kFormat> {
 public:
  [[gnu::always_inline]] void add(const TwoQuads& quads, const std::int8_t* bytes) {
    const __m256i four = _mm256_add_epi16(products(quads, bytes, 0), products(quads, bytes, 1));
    sum_ = settled(_mm256_add_epi32(sum_, _mm256_madd_epi16(four, _mm256_set1_epi16(1))));
  }
  [[gnu::always_inline]] __m256 value() const { return _mm256_cvtepi32_ps(sum_); }

 private:
  __m256i sum_ = _mm256_setzero_si256();
};

/// Codes of 8 bits are two of 4.
template <>
class Dot<PanelFormat::bytes_minus_128> {
 public:
  [[gnu::always_inline]] void add(const TwoQuads& quads, const std::int8_t* bytes) {
    const __m256i four_bits = _mm256_set1_epi8(15);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const __m256i x = quad_256(bytes, quads.at[i]);
      const __m256i low = _mm256_and_si256(quads.codes[i], four_bits);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(quads.codes[i], 4), four_bits);
      low_ = settled(_mm256_add_epi16(low_, _mm256_maddubs_epi16(low, x)));
      high_ = settled(_mm256_add_epi16(high_, _mm256_maddubs_epi16(high, x)));
    }
  }
  [[gnu::always_inline]] __m256 value() const {
    const __m256i low = _mm256_madd_epi16(low_, _mm256_set1_epi16(1));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(low, _mm256_madd_epi16(high_, _mm256_set1_epi16(16))));
  }

 private:
  __m256i low_ = _mm256_setzero_si256(), high_ = _mm256_setzero_si256();
};

}  // namespace

void product_grouped_avx2(const ProductTask& task) { product_grouped_256<Dot>(task); }

}  // namespace headwater::kernels::cpu
