// AVX2: eight columns at a time. Sums over all groups need more than 32 bits; doubles hold them exactly.

#include <immintrin.h>

#include "kernels/cpu/panel_codes_avx2.h"
#include "kernels/cpu/panel_results_avx2.h"
#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kRows = 4;
constexpr std::size_t kLanes = kLanes256;

/// A row's activations of a group: for each quad of K its values 0 and 2 in one number, 1 and 3 in the other.
struct Pairs {
  alignas(32) std::int32_t even[8], odd[8];
};

inline void join(const std::int8_t* high_bytes, const std::int8_t* low_bytes, Pairs& pairs) {
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high_bytes));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low_bytes));
  const __m256i upper = _mm256_set1_epi16(static_cast<std::int16_t>(0xFF00));
  const __m256i even_low = _mm256_srai_epi16(_mm256_slli_epi16(low, 8), 8);
  const __m256i odd_low = _mm256_srai_epi16(low, 8);
  _mm256_store_si256(reinterpret_cast<__m256i*>(pairs.even), _mm256_add_epi16(_mm256_slli_epi16(high, 8), even_low));
  _mm256_store_si256(reinterpret_cast<__m256i*>(pairs.odd), _mm256_add_epi16(_mm256_and_si256(high, upper), odd_low));
}

struct Doubles {
  __m256d first, last;
};
inline Doubles to_doubles(__m256i numbers) {
  return {_mm256_cvtepi32_pd(_mm256_castsi256_si128(numbers)),
          _mm256_cvtepi32_pd(_mm256_extracti128_si256(numbers, 1))};
}
inline void add(Doubles& sum, const Doubles& more) {
  sum.first = _mm256_add_pd(sum.first, more.first);
  sum.last = _mm256_add_pd(sum.last, more.last);
}
inline __m256i widen(const std::int16_t* numbers) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers)));
}

/// Factors and offsets of eight columns: in the lower halves as they are, in the upper what coarse() makes of them.
struct Numbers {
  __m256i factor, offset;
};
template <PanelFormat kFormat>
inline Numbers load_numbers(const PanelView& panel, std::size_t group, std::size_t half) {
  const std::int16_t* from = panel.numbers + group * n_numbers(kFormat) + factor_place(kFormat, half * kLanes);
  __m256i both;  // four factors and four offsets, twice
  if constexpr (kFormat == PanelFormat::nibbles) {
    both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  } else {
    const __m128i factors = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i offsets = _mm_sub_epi16(_mm_setzero_si128(), factors);
    both = _mm256_set_m128i(_mm_unpackhi_epi64(factors, offsets), _mm_unpacklo_epi64(factors, offsets));
  }
  const __m256i coarse = _mm256_srai_epi16(_mm256_add_epi16(both, _mm256_set1_epi16(128)), 8);
  return {_mm256_unpacklo_epi16(both, coarse), _mm256_unpackhi_epi16(both, coarse)};
}

/// start + the sums of neighbouring numbers of 16 bits.
inline __m256i pair_sums(__m256i numbers, int start) {
  return _mm256_add_epi32(_mm256_madd_epi16(numbers, _mm256_set1_epi16(1)), _mm256_set1_epi32(start));
}
/// Σ (high · W + low · coarse W) of weights of 4 bits, for N rows and the 8 columns of each of H halves of a panel.
template <PanelFormat kFormat, std::size_t N, std::size_t H>
inline void sum_nibbles(const PanelView& panel, const QuantizedRows& x, std::size_t half, std::size_t row,
                        PanelStream& ahead, Doubles (&sums)[N * H]) {
  for (std::size_t first = 0; first < x.groups; first += kGroupsOf32Bits) {
    const std::size_t end = first + kGroupsOf32Bits < x.groups ? first + kGroupsOf32Bits : x.groups;
    __m256i partial[N * H];
    for (__m256i& sum : partial) sum = _mm256_setzero_si256();
    for (std::size_t g = first; g < end; ++g) {
      ahead.ask();
      // Sums of 16 products of a code and a byte: they need 16 bits.
      __m256i high[N * H];
      __m256i low[N * H];
      for (std::size_t i = 0; i < N * H; ++i) high[i] = low[i] = _mm256_setzero_si256();
      const std::int8_t* bytes[N];
      for (std::size_t r = 0; r < N; ++r) bytes[r] = settled(x.at(row + r, g / 2) + g % 2 * kGroup);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        __m256i codes[H];
        for (std::size_t h = 0; h < H; ++h) {
          codes[h] = load_quad_256<kFormat>(panel.codes + g * code_bytes(kFormat) + (half + h) * 32, i);
        }
#pragma GCC unroll 8
        for (std::size_t r = 0; r < N; ++r) {
          const __m256i high_quad = quad_256(bytes[r], i), low_quad = quad_256(bytes[r] + x.low, i);
          for (std::size_t h = 0; h < H; ++h) {
            __m256i& high_sum = high[r * H + h];
            __m256i& low_sum = low[r * H + h];
            high_sum = settled(_mm256_add_epi16(high_sum, _mm256_maddubs_epi16(codes[h], high_quad)));
            low_sum = settled(_mm256_add_epi16(low_sum, _mm256_maddubs_epi16(codes[h], low_quad)));
          }
        }
      }
      for (std::size_t h = 0; h < H; ++h) {
        const Numbers numbers = load_numbers<kFormat>(panel, g, half + h);
        for (std::size_t r = 0; r < N; ++r) {
          const std::size_t i = r * H + h;
          const GroupSums& group = x.sums[(row + r) * x.groups + g];
          const __m256i both = _mm256_blend_epi16(pair_sums(high[i], group.high_start),
                                                  _mm256_slli_epi32(pair_sums(low[i], group.low_start), 16), 0xAA);
          partial[i] = _mm256_add_epi32(partial[i], _mm256_madd_epi16(numbers.offset, _mm256_set1_epi32(group.both())));
          partial[i] = _mm256_add_epi32(partial[i], _mm256_madd_epi16(numbers.factor, both));
        }
      }
    }
    for (std::size_t i = 0; i < N * H; ++i) add(sums[i], to_doubles(partial[i]));
  }
}

/// sum += a · b
inline void multiply_add(Doubles& sum, const Doubles& a, const Doubles& b) {
  sum.first = _mm256_fmadd_pd(a.first, b.first, sum.first);
  sum.last = _mm256_fmadd_pd(a.last, b.last, sum.last);
}

/// Σ a · W of weights of 6 or 8 bits, likewise. Quads of K that share a factor make a run: all of a group, or half of
/// them.
template <PanelFormat kFormat, std::size_t N, std::size_t H>
inline void sum_bytes(const PanelView& panel, const QuantizedRows& x, std::size_t half, std::size_t row,
                      PanelStream& ahead, Doubles (&sums)[N * H]) {
  constexpr bool kTwoFactors = kFormat == PanelFormat::sixes_two_factors;
  constexpr int kRun = kTwoFactors ? 4 : 8;
  for (std::size_t g = 0; g < x.groups; ++g) {
    ahead.ask();
    const std::int16_t* numbers = panel.numbers + g * n_numbers(kFormat);
    Pairs pairs[N];
    const GroupSums* group[N];
    for (std::size_t r = 0; r < N; ++r) {
      const std::int8_t* high = x.at(row + r, g / 2) + g % 2 * kGroup;
      join(high, high + x.low, pairs[r]);
      group[r] = x.sums + (row + r) * x.groups + g;
    }
#pragma GCC unroll 2
    for (int run = 0; run < 8; run += kRun) {
      __m256i dots[N * H];
      for (std::size_t r = 0; r < N; ++r) {
        const int all = group[r]->all();
        const int sum = !kTwoFactors ? all : run == 0 ? group[r]->first() : all - group[r]->first();
        for (std::size_t h = 0; h < H; ++h) dots[r * H + h] = _mm256_set1_epi32(-middle(kFormat) * sum);
      }
#pragma GCC unroll 8
      for (int i = run; i < run + kRun; ++i) {
        for (std::size_t h = 0; h < H; ++h) {
          const __m256i codes = load_quad_256<kFormat>(panel.codes + g * code_bytes(kFormat) + (half + h) * 32, i);
          const __m256i even = _mm256_and_si256(codes, _mm256_set1_epi16(0xFF));
          const __m256i odd = _mm256_srli_epi16(codes, 8);
#pragma GCC unroll 8
          for (std::size_t r = 0; r < N; ++r) {
            __m256i& dot = dots[r * H + h];
            dot = settled(_mm256_add_epi32(dot, _mm256_madd_epi16(even, _mm256_set1_epi32(pairs[r].even[i]))));
            dot = settled(_mm256_add_epi32(dot, _mm256_madd_epi16(odd, _mm256_set1_epi32(pairs[r].odd[i]))));
          }
        }
      }
      const std::int16_t* factors = numbers + (run == 0 ? 0 : to_second(kFormat));
      for (std::size_t h = 0; h < H; ++h) {
        const Doubles factor = to_doubles(widen(factors + (half + h) * kLanes));
        for (std::size_t r = 0; r < N; ++r) multiply_add(sums[r * H + h], factor, to_doubles(dots[r * H + h]));
      }
    }
    if constexpr (kFormat == PanelFormat::sixes_and_offset) {
      for (std::size_t h = 0; h < H; ++h) {
        const Doubles offset = to_doubles(widen(numbers + to_second(kFormat) + (half + h) * kLanes));
        for (std::size_t r = 0; r < N; ++r) {
          const __m256d all = _mm256_set1_pd(group[r]->all());
          multiply_add(sums[r * H + h], offset, {all, all});
        }
      }
    }
  }
}

/// floor(sum · unit), as floats.
inline __m256 round_to_float(const Doubles& sum, double unit) {
  const auto half = [&](__m256d x) { return _mm256_cvtpd_ps(_mm256_floor_pd(_mm256_mul_pd(x, _mm256_set1_pd(unit)))); };
  return _mm256_set_m128(half(sum.last), half(sum.first));
}

/// Rows [row, row + N) of the task.
template <PanelFormat kFormat, std::size_t N, std::size_t H>
void rows(const ProductTask& task, const PanelView& panel, std::size_t half, std::size_t row,
          const PanelResults& results, PanelStream& ahead) {
  const QuantizedRows& x = *task.x;
  Doubles sums[N * H];
  for (Doubles& sum : sums) sum = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  double unit = 1.0 / (1 << sum_shift(x.groups * kGroup));
  if constexpr (has_nibbles(kFormat)) {
    sum_nibbles<kFormat, N, H>(panel, x, half, task.first_row + row, ahead, sums);
  } else {
    sum_bytes<kFormat, N, H>(panel, x, half, task.first_row + row, ahead, sums);
    unit /= 256;
  }
  for (std::size_t i = 0; i < N * H; ++i) {
    const std::size_t r = row + i / H, column = (half + i % H) * kLanes;
    const __m256 scaled = _mm256_mul_ps(round_to_float(sums[i], unit), _mm256_load_ps(panel.steps + column));
    store_results(results, r, column, _mm256_mul_ps(scaled, _mm256_set1_ps(x.scales[task.first_row + r])));
  }
}

template <PanelFormat kFormat>
void multiply_panel(const ProductTask& task, std::size_t index, const PanelResults& results) {
  const std::size_t bytes = panel_bytes(kFormat, task.x->groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, task.x->groups);
  const std::size_t n = task.end_row - task.first_row;
  const std::size_t end = n / kRows * kRows;
  PanelStream ahead(*task.weights, bytes, PanelStream::at_once(bytes, task.x->groups));
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t row = 0; row < end; row += kRows) {
      rows<kFormat, kRows, 1>(task, panel, half, row, results, ahead);
    }
  }
  for (std::size_t row = end; row < n; ++row) rows<kFormat, 1, 2>(task, panel, 0, row, results, ahead);
}

}  // namespace

void product_avx2(const ProductTask& task) {
  with_format(task.format, [&](auto format) {
    for_each_panel(task, [&](std::size_t index, const PanelResults& results) {
      multiply_panel<format.value>(task, index, results);
    });
  });
}

}  // namespace headwater::kernels::cpu
