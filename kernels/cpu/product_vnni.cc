// AVX-512 VNNI: a panel's codes of one group in eight registers, met by several rows. Sums over the groups need more
// than 32 bits; doubles hold them exactly.

#include <immintrin.h>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

/// Rows that share an unpacked group: their sums and the group's codes fill most of the registers.
constexpr std::size_t kRows = 4;

template <PanelFormat kFormat>
inline void unpack(const std::byte* codes, __m512i (&quads)[8]) {
  if constexpr (kFormat == PanelFormat::bytes_minus_128) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) quads[i] = _mm512_load_si512(codes + 64 * i);
  } else {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i both = _mm512_load_si512(codes + 64 * i);
      quads[i] = _mm512_and_si512(both, low);
      quads[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
  }
}

inline __m512i quad(const std::int8_t* codes, int i) {
  int four;
  __builtin_memcpy(&four, codes + 4 * i, 4);
  return _mm512_set1_epi32(four);
}

/// Σ q·a of a group for 16 columns.
inline __m512i dot(const __m512i (&quads)[8], const std::int8_t* high, const std::int8_t* low) {
  __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) sum = _mm512_dpbusd_epi32(sum, quads[i], quad(high, i));
  sum = _mm512_slli_epi32(sum, 8);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) sum = _mm512_dpbusd_epi32(sum, quads[i], quad(low, i));
  return sum;
}

/// 16 columns as doubles.
struct Doubles {
  __m512d first, last;
};
inline Doubles to_doubles(__m512i numbers) {
  return {_mm512_cvtepi32_pd(_mm512_castsi512_si256(numbers)),
          _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(numbers, 1))};
}
inline Doubles load_doubles(const std::int16_t* numbers) {
  return to_doubles(_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers))));
}

/// The bits from 16 on, and those below, as floats; see product_reference().
inline __m512 round_to_float(const Doubles& sum) {
  const __m512i first = _mm512_cvtpd_epi64(sum.first);
  const __m512i last = _mm512_cvtpd_epi64(sum.last);
  const auto join = [](__m512i a, __m512i b) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(a)), _mm512_cvtepi64_epi32(b), 1);
  };
  const __m512i high = join(_mm512_srai_epi64(first, 16), _mm512_srai_epi64(last, 16));
  const __m512i low = _mm512_and_si512(join(first, last), _mm512_set1_epi32(0xFFFF));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(65536), _mm512_cvtepi32_ps(low));
}

template <PanelFormat kFormat, std::size_t N>
void rows(const ProductTask& task, std::size_t index, std::size_t row) {
  const QuantizedRows& x = *task.x;
  const PanelView panel = view_panel(kFormat, task.panels + index * panel_bytes(kFormat, x.groups), x.groups);
  // To the second-level cache, ahead of its use by as much as memory needs to answer.
  constexpr std::size_t kAhead = 16384;
  Doubles sums[N];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < N; ++r) sums[r] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::byte* codes = panel.codes + g * code_bytes(kFormat);
    for (std::size_t i = 0; i < code_bytes(kFormat); i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + i), _MM_HINT_T1);
    }
    __m512i quads[8];
    unpack<kFormat>(codes, quads);
    const Doubles factor = load_doubles(panel.factors + g * kPanel);
    Doubles offset;
    if constexpr (kFormat == PanelFormat::nibbles) offset = load_doubles(panel.offsets + g * kPanel);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < N; ++r) {
      const std::int8_t* high = x.at(row + r, g / 2) + g % 2 * kGroup;
      const Doubles dots = to_doubles(dot(quads, high, high + x.low));
      const __m512d sum = _mm512_set1_pd(x.sums[(row + r) * x.groups + g]);
      if constexpr (kFormat == PanelFormat::nibbles) {
        sums[r].first = _mm512_fmadd_pd(offset.first, sum, _mm512_fmadd_pd(factor.first, dots.first, sums[r].first));
        sums[r].last = _mm512_fmadd_pd(offset.last, sum, _mm512_fmadd_pd(factor.last, dots.last, sums[r].last));
      } else {
        constexpr double kMiddle = kFormat == PanelFormat::nibbles_minus_8 ? -8 : -128;
        const __m512d shift = _mm512_mul_pd(sum, _mm512_set1_pd(kMiddle));
        sums[r].first = _mm512_fmadd_pd(factor.first, _mm512_add_pd(dots.first, shift), sums[r].first);
        sums[r].last = _mm512_fmadd_pd(factor.last, _mm512_add_pd(dots.last, shift), sums[r].last);
      }
    }
  }
  const std::size_t column = index * kPanel;
  const std::size_t left = task.columns - column;
  const __mmask16 kept = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
  const __m512 steps = _mm512_load_ps(panel.steps);
#pragma GCC unroll 4
  for (std::size_t r = 0; r < N; ++r) {
    const __m512 value =
        _mm512_mul_ps(_mm512_mul_ps(round_to_float(sums[r]), steps), _mm512_set1_ps(x.scales[row + r]));
    _mm512_mask_storeu_ps(task.out + (row + r) * task.columns + column, kept, value);
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  for (std::size_t panel = task.first_panel; panel < task.end_panel; ++panel) {
    std::size_t row = task.first_row;
    for (; row + kRows <= task.end_row; row += kRows) rows<kFormat, kRows>(task, panel, row);
    switch (task.end_row - row) {
      case 3:
        rows<kFormat, 3>(task, panel, row);
        break;
      case 2:
        rows<kFormat, 2>(task, panel, row);
        break;
      case 1:
        rows<kFormat, 1>(task, panel, row);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void product_vnni(const ProductTask& task) {
  with_format(task.format, [&](auto format) { product<format.value>(task); });
}

}  // namespace headwater::kernels::cpu
