// AVX-512 VNNI: a panel's codes of one group in eight registers, met by several rows. Sums over all groups need more
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

/// start + Σ q·byte of a group for 16 columns.
inline __m512i dot(const __m512i (&quads)[8], const std::int8_t* bytes, __m512i start) {
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) start = _mm512_dpbusd_epi32(start, quads[i], quad(bytes, i));
  return start;
}

/// 16 columns as doubles.
struct Doubles {
  __m512d first, last;
};
inline Doubles to_doubles(__m512i numbers) {
  return {_mm512_cvtepi32_pd(_mm512_castsi512_si256(numbers)),
          _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(numbers, 1))};
}
inline void add(Doubles& sum, const Doubles& more) {
  sum.first = _mm512_add_pd(sum.first, more.first);
  sum.last = _mm512_add_pd(sum.last, more.last);
}

/// floor(sum · unit), as a float.
inline __m512 round_to_float(const Doubles& sum, __m512d unit) {
  const auto half = [&](__m512d x) {
    return _mm512_cvtpd_ps(_mm512_roundscale_pd(_mm512_mul_pd(x, unit), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
  };
  return _mm512_insertf32x8(_mm512_castps256_ps512(half(sum.first)), half(sum.last), 1);
}

/// 16 numbers of 16 bits, in 32.
inline __m512i widen(const std::int16_t* numbers) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers)));
}
constexpr __mmask32 kUpper = 0xAAAAAAAA;
/// Numbers of 16 bits in the lower halves, and what coarse() makes of them in the upper.
inline __m512i with_coarse(__m512i numbers) {
  const __m512i rounded = _mm512_add_epi32(_mm512_slli_epi32(numbers, 8), _mm512_set1_epi32(1 << 15));
  return _mm512_mask_mov_epi16(numbers, kUpper, rounded);
}

/// A group's part of what panel_ahead() gives.
template <PanelFormat kFormat>
inline void ask_for(const char* ahead, std::size_t group, std::size_t groups) {
  const std::size_t bytes = panel_bytes(kFormat, groups);
  const std::size_t end = (group + 1) * bytes / groups;
  for (std::size_t i = (group * bytes / groups + 63) / 64 * 64; i < end; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T1);
}

/// Σ (high · W + low · coarse W) of weights of 4 bits, for N rows and 16 columns.
template <PanelFormat kFormat, std::size_t N>
inline void sum_nibbles(const PanelView& panel, const char* ahead, const QuantizedRows& x, std::size_t row,
                        Doubles (&sums)[N]) {
  for (std::size_t first = 0; first < x.groups; first += kGroupsOf32Bits) {
    const std::size_t end = first + kGroupsOf32Bits < x.groups ? first + kGroupsOf32Bits : x.groups;
    __m512i partial[N];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < N; ++r) partial[r] = _mm512_setzero_si512();
    for (std::size_t g = first; g < end; ++g) {
      ask_for<kFormat>(ahead, g, x.groups);
      __m512i quads[8];
      unpack<kFormat>(panel.codes + g * code_bytes(kFormat), quads);
      const __m512i wide = widen(panel.factors + g * kPanel);
      const __m512i factor = with_coarse(wide);
      const __m512i offset =
          with_coarse(kFormat == PanelFormat::nibbles ? widen(panel.offsets + g * kPanel)
                                                      : _mm512_sub_epi32(_mm512_setzero_si512(), wide));
#pragma GCC unroll 4
      for (std::size_t r = 0; r < N; ++r) {
        const std::int8_t* high_bytes = x.at(row + r, g / 2) + g % 2 * kGroup;
        const GroupSums& group = x.sums[(row + r) * x.groups + g];
        const __m512i high = dot(quads, high_bytes, _mm512_set1_epi32(group.high_start));
        const __m512i low = dot(quads, high_bytes + x.low, _mm512_set1_epi32(group.low_start));
        const __m512i both = _mm512_mask_mov_epi16(high, kUpper, _mm512_slli_epi32(low, 16));
        partial[r] = _mm512_dpwssd_epi32(partial[r], offset, _mm512_set1_epi32(group.both()));
        partial[r] = _mm512_dpwssd_epi32(partial[r], factor, both);
      }
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < N; ++r) add(sums[r], to_doubles(partial[r]));
  }
}

/// Σ a · W of weights of 8 bits.
template <std::size_t N>
inline void sum_bytes(const PanelView& panel, const char* ahead, const QuantizedRows& x, std::size_t row,
                      Doubles (&sums)[N]) {
  constexpr PanelFormat kFormat = PanelFormat::bytes_minus_128;
  for (std::size_t g = 0; g < x.groups; ++g) {
    ask_for<kFormat>(ahead, g, x.groups);
    __m512i quads[8];
    unpack<kFormat>(panel.codes + g * code_bytes(kFormat), quads);
    const Doubles factor = to_doubles(widen(panel.factors + g * kPanel));
#pragma GCC unroll 4
    for (std::size_t r = 0; r < N; ++r) {
      const std::int8_t* high_bytes = x.at(row + r, g / 2) + g % 2 * kGroup;
      const GroupSums& group = x.sums[(row + r) * x.groups + g];
      const __m512i start = _mm512_set1_epi32(-128 * (256 * group.high + group.low));
      const __m512i high = dot(quads, high_bytes, _mm512_setzero_si512());
      const Doubles dots =
          to_doubles(_mm512_add_epi32(dot(quads, high_bytes + x.low, start), _mm512_slli_epi32(high, 8)));
      sums[r].first = _mm512_fmadd_pd(factor.first, dots.first, sums[r].first);
      sums[r].last = _mm512_fmadd_pd(factor.last, dots.last, sums[r].last);
    }
  }
}

template <PanelFormat kFormat, std::size_t N>
void rows(const ProductTask& task, std::size_t index, std::size_t row) {
  const QuantizedRows& x = *task.x;
  const std::size_t bytes = panel_bytes(kFormat, x.groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, x.groups);
  const char* ahead = panel_ahead(task, index, bytes);
  Doubles sums[N];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < N; ++r) sums[r] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  double unit = 1.0 / (1 << sum_shift(x.groups * kGroup));
  if constexpr (kFormat == PanelFormat::bytes_minus_128) {
    sum_bytes(panel, ahead, x, row, sums);
    unit /= 256;
  } else {
    sum_nibbles<kFormat>(panel, ahead, x, row, sums);
  }
  const std::size_t column = index * kPanel;
  const std::size_t left = task.columns - column;
  const __mmask16 kept = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
  const __m512 steps = _mm512_load_ps(panel.steps);
#pragma GCC unroll 4
  for (std::size_t r = 0; r < N; ++r) {
    const __m512 value = _mm512_mul_ps(_mm512_mul_ps(round_to_float(sums[r], _mm512_set1_pd(unit)), steps),
                                       _mm512_set1_ps(x.scales[row + r]));
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
