// AVX-512 VNNI: a panel's codes of a group are unpacked once for several rows. Sums over all groups need more
// than 32 bits; doubles hold them exactly.

#include <immintrin.h>

#include "kernels/cpu/panel_codes_avx512.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/silu_avx512.h"

namespace headwater::kernels::cpu {
namespace {

/// Rows that share an unpacked group. Of codes of 4 bits a row has three sums in registers, of others four.
template <PanelFormat kFormat>
constexpr std::size_t kRows = has_nibbles(kFormat) ? 8 : 6;

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

/// Factors and offsets of 16 columns: in the lower halves as they are, in the upper what coarse() makes of them.
struct Numbers {
  __m512i factor, offset;
};
template <PanelFormat kFormat>
inline Numbers load_numbers(const PanelView& panel, std::size_t group) {
  const std::int16_t* from = panel.numbers + group * n_numbers(kFormat);
  __m512i both;  // four factors and four offsets, four times
  if constexpr (kFormat == PanelFormat::nibbles) {
    both = _mm512_load_si512(from);
  } else {
    const __m512i spread =
        _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3),
                                 _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))));
    both = _mm512_mask_sub_epi16(spread, 0xF0F0F0F0, _mm512_setzero_si512(), spread);
  }
  const __m512i coarse = _mm512_srai_epi16(_mm512_add_epi16(both, _mm512_set1_epi16(128)), 8);
  return {_mm512_unpacklo_epi16(both, coarse), _mm512_unpackhi_epi16(both, coarse)};
}

/// Σ q·byte of a group for 16 columns, of the high and the low bytes of N rows.
template <std::size_t N>
struct Dots {
  __m512i high[N], low[N];

  [[gnu::always_inline]] void add(std::size_t r, __m512i codes, const std::int8_t* bytes, std::size_t low_bytes,
                                  int i) {
    high[r] = _mm512_dpbusd_epi32(high[r], codes, quad(bytes, i));
    low[r] = _mm512_dpbusd_epi32(low[r], codes, quad(bytes + low_bytes, i));
  }
};

/// The lower halves of `high`, and in the upper ones those of `low`.
inline __m512i lower_halves(__m512i high, __m512i low) {
  const __m512i swap = _mm512_set4_epi32(0x0D0C0D0C, 0x09080908, 0x05040504, 0x01000100);
  return _mm512_mask_shuffle_epi8(high, 0xCCCCCCCCCCCCCCCC, low, swap);
}

/// A row of activations.
struct Row {
  const std::int8_t* codes;
  const GroupSums* sums;
};

/// Σ (high · W + low · coarse W) of weights of 4 bits, for N rows and 16 columns.
template <PanelFormat kFormat, std::size_t N>
inline void sum_nibbles(const PanelView& panel, const QuantizedRows& x, const Row (&rows)[N], Doubles (&sums)[N],
                        PanelStream& ahead) {
  for (std::size_t first = 0; first < x.groups; first += kGroupsOf32Bits) {
    const std::size_t end = first + kGroupsOf32Bits < x.groups ? first + kGroupsOf32Bits : x.groups;
    __m512i partial[N];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < N; ++r) partial[r] = _mm512_setzero_si512();
    for (std::size_t g = first; g < end; ++g) {
      ahead.ask<kLines<kFormat>>();
      const std::byte* codes = panel.codes + g * code_bytes(kFormat);
      const std::size_t place = g / 2 * x.step_stride + g % 2 * kGroup;
      const Numbers numbers = load_numbers<kFormat>(panel, g);
      Dots<N> dots;
#pragma GCC unroll 8
      for (std::size_t r = 0; r < N; ++r) {
        dots.high[r] = _mm512_set1_epi32(rows[r].sums[g].high_start);
        dots.low[r] = _mm512_set1_epi32(rows[r].sums[g].low_start);
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m512i low_half = _mm512_set1_epi8(15);
        const __m512i two = _mm512_load_si512(reinterpret_cast<const __m512i*>(codes) + i);
        const __m512i lower = _mm512_and_si512(two, low_half);
        const __m512i upper = _mm512_and_si512(_mm512_srli_epi16(two, 4), low_half);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < N; ++r) dots.add(r, lower, rows[r].codes + place, x.low, i);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < N; ++r) dots.add(r, upper, rows[r].codes + place, x.low, i + 4);
      }
#pragma GCC unroll 8
      for (std::size_t r = 0; r < N; ++r) {
        const __m512i both = lower_halves(dots.high[r], dots.low[r]);
        partial[r] = _mm512_dpwssd_epi32(partial[r], numbers.offset, _mm512_set1_epi32(rows[r].sums[g].both()));
        partial[r] = _mm512_dpwssd_epi32(partial[r], numbers.factor, both);
      }
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < N; ++r) add(sums[r], to_doubles(partial[r]));
  }
}

/// Σ a · W of weights of 6 or 8 bits: of a's high bytes and of its low ones apart, as their sums have 32 bits for some
/// groups. Quads of K that share a factor make a run: all of a group, or half of them.
template <PanelFormat kFormat, std::size_t N>
inline void sum_bytes(const PanelView& panel, const QuantizedRows& x, const Row (&rows)[N], Doubles (&sums)[N],
                      PanelStream& ahead) {
  constexpr bool kTwoFactors = kFormat == PanelFormat::sixes_two_factors;
  constexpr int kRun = kTwoFactors ? 4 : 8;
  for (std::size_t first = 0; first < x.groups; first += kGroupsOf32Bits) {
    const std::size_t end = first + kGroupsOf32Bits < x.groups ? first + kGroupsOf32Bits : x.groups;
    Dots<N> partial;
#pragma GCC unroll 6
    for (std::size_t r = 0; r < N; ++r) partial.high[r] = partial.low[r] = _mm512_setzero_si512();
    for (std::size_t g = first; g < end; ++g) {
      ahead.ask<kLines<kFormat>>();
      const std::byte* codes = panel.codes + g * code_bytes(kFormat);
      const std::int16_t* numbers = panel.numbers + g * n_numbers(kFormat);
      const std::size_t place = g / 2 * x.step_stride + g % 2 * kGroup;
#pragma GCC unroll 2
      for (int run = 0; run < 8; run += kRun) {
        Dots<N> dots;
#pragma GCC unroll 6
        for (std::size_t r = 0; r < N; ++r) {
          const GroupSums& all = rows[r].sums[g];
          const int high = !kTwoFactors ? all.high : run == 0 ? all.first_high : all.high - all.first_high;
          const int low = !kTwoFactors ? all.low : run == 0 ? all.first_low : all.low - all.first_low;
          dots.high[r] = _mm512_set1_epi32(-middle(kFormat) * high);
          dots.low[r] = _mm512_set1_epi32(-middle(kFormat) * low);
        }
#pragma GCC unroll 8
        for (int i = run; i < run + kRun; ++i) {
          const __m512i quads = load_quad<kFormat>(codes, i);
#pragma GCC unroll 6
          for (std::size_t r = 0; r < N; ++r) dots.add(r, quads, rows[r].codes + place, x.low, i);
        }
        const __m512i factor = widen(numbers + (run == 0 ? 0 : to_second(kFormat)));
#pragma GCC unroll 6
        for (std::size_t r = 0; r < N; ++r) {
          partial.high[r] = _mm512_add_epi32(partial.high[r], _mm512_mullo_epi32(factor, dots.high[r]));
          partial.low[r] = _mm512_add_epi32(partial.low[r], _mm512_mullo_epi32(factor, dots.low[r]));
        }
      }
      if constexpr (kFormat == PanelFormat::sixes_and_offset) {
        const __m512i offset = widen(numbers + to_second(kFormat));
#pragma GCC unroll 6
        for (std::size_t r = 0; r < N; ++r) {
          const auto times = [&](int sum) { return _mm512_mullo_epi32(offset, _mm512_set1_epi32(sum)); };
          partial.high[r] = _mm512_add_epi32(partial.high[r], times(rows[r].sums[g].high));
          partial.low[r] = _mm512_add_epi32(partial.low[r], times(rows[r].sums[g].low));
        }
      }
    }
#pragma GCC unroll 6
    for (std::size_t r = 0; r < N; ++r) {
      const Doubles high = to_doubles(partial.high[r]);
      const __m512d byte = _mm512_set1_pd(256);
      add(sums[r], {_mm512_mul_pd(high.first, byte), _mm512_mul_pd(high.last, byte)});
      add(sums[r], to_doubles(partial.low[r]));
    }
  }
}

template <PanelFormat kFormat, std::size_t N>
inline void rows(const QuantizedRows& x, const PanelView& panel, std::size_t row, std::size_t place,
                 const PanelResults& results, PanelStream& ahead) {
  Row rows[N];
  Doubles sums[N];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < N; ++r) {
    rows[r] = {x.at(row + r, 0), x.sums + (row + r) * x.groups};
    sums[r] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  }
  double unit = 1.0 / (1 << sum_shift(x.groups * kGroup));
  if constexpr (has_nibbles(kFormat)) {
    sum_nibbles<kFormat>(panel, x, rows, sums, ahead);
  } else {
    sum_bytes<kFormat>(panel, x, rows, sums, ahead);
    unit /= 256;
  }
  const __m512 steps = _mm512_load_ps(panel.steps);
#pragma GCC unroll 8
  for (std::size_t r = 0; r < N; ++r) {
    __m512 value = _mm512_mul_ps(_mm512_mul_ps(round_to_float(sums[r], _mm512_set1_pd(unit)), steps),
                                 _mm512_set1_ps(x.scales[row + r]));
    if (results.gate != nullptr) value = silu_mul(_mm512_load_ps(results.gate + (place + r) * kPanel), value);
    _mm512_mask_storeu_ps(results.out + (place + r) * results.stride, results.columns, value);
  }
}

template <PanelFormat kFormat>
void multiply_panel(const ProductTask& task, std::size_t index, const PanelResults& results) {
  const QuantizedRows& x = *task.x;
  const std::size_t bytes = panel_bytes(kFormat, x.groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, x.groups);
  const std::size_t n = task.end_row - task.first_row;
  PanelStream ahead(*task.weights, bytes, 0);
  std::size_t i = 0;
  constexpr std::size_t kMost = kRows<kFormat>;
  for (; i + kMost <= n; i += kMost) rows<kFormat, kMost>(x, panel, task.first_row + i, i, results, ahead);
  for (; i + 4 <= n; i += 4) rows<kFormat, 4>(x, panel, task.first_row + i, i, results, ahead);
  switch (n - i) {
    case 3:
      return rows<kFormat, 3>(x, panel, task.first_row + i, i, results, ahead);
    case 2:
      return rows<kFormat, 2>(x, panel, task.first_row + i, i, results, ahead);
    case 1:
      return rows<kFormat, 1>(x, panel, task.first_row + i, i, results, ahead);
    default:
      return;
  }
}

}  // namespace

void product_vnni(const ProductTask& task) {
  with_format(task.format, [&](auto format) {
    for_each_panel(task, [&](std::size_t index, const PanelResults& results) {
      multiply_panel<format.value>(task, index, results);
    });
  });
}

}  // namespace headwater::kernels::cpu
