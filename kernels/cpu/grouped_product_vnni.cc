// AVX-512 VNNI: a panel's codes of a group are unpacked once for up to twelve rows.

#include <immintrin.h>

#include "kernels/cpu/grouped_blocks.h"
#include "kernels/cpu/grouped_product.h"
#include "kernels/cpu/panel_codes_avx512.h"
#include "kernels/cpu/silu_avx512.h"

namespace headwater::kernels::cpu {
namespace {

/// A dot begins with the bits of the float 1.5 · 2^23. What they are in the end is the float 1.5 · 2^23 + dot, and one
/// fused multiply-add with -1.5 · 2^23 · factor makes it factor · dot, rounded once. Dots are below 2^20.
constexpr float kDotStart = 12582912.0F;

/// Rows that share an unpacked group: as many as registers hold.
template <PanelFormat kFormat>
constexpr std::size_t kRows = has_sixes(kFormat) ? 8 : kBlockRows;

/// Calls use(codes, i) for the quads of a run: those of all columns as bytes, and which of the group it is.
template <PanelFormat kFormat, class Use>
[[gnu::always_inline]] inline void for_quads(const std::byte* codes, int run, const Use& use) {
  if constexpr (has_nibbles(kFormat)) {
    const __m512i low_half = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i two = _mm512_load_si512(reinterpret_cast<const __m512i*>(codes) + i);
      use(_mm512_and_si512(two, low_half), i);
      use(_mm512_and_si512(_mm512_srli_epi16(two, 4), low_half), i + 4);
    }
  } else {
    constexpr int kCount = 8 / kRuns<kFormat>;
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) use(load_quad<kFormat>(codes, run * kCount + i), run * kCount + i);
  }
}

/// Σ q of a run, for 16 columns.
template <PanelFormat kFormat>
class CodeSum {
 public:
  [[gnu::always_inline]] void add(__m512i quads) {
    if constexpr (has_nibbles(kFormat)) {
      sum_ = _mm512_add_epi8(sum_, quads);  // eight times 15
    } else {
      sum_ = _mm512_dpbusd_epi32(sum_, quads, _mm512_set1_epi8(1));
    }
  }
  [[gnu::always_inline]] __m512i get() const {
    if constexpr (!has_nibbles(kFormat)) return sum_;
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), sum_, _mm512_set1_epi8(1));
  }

 private:
  __m512i sum_ = _mm512_setzero_si512();
};

/// Of a group's 16 columns.
struct Numbers {
  __m512i factors;        ///< of 4-bit codes: each in the lower 16 bits, below a zero
  __m512i terms, halves;  ///< what GroupTerms::sum_and_centre() and halves() are multiplied with
};
/// `low` in the lower 16 bits, `high` in the upper.
[[gnu::always_inline]] inline __m512i pair(__m512i low, __m512i high) {
  return _mm512_mask_blend_epi16(0xAAAAAAAA, low, _mm512_slli_epi32(high, 16));
}
/// first_codes, last_codes: Σ q of the runs.
template <PanelFormat kFormat>
[[gnu::always_inline]] inline Numbers load_numbers(const PanelView& panel, std::size_t group, __m512i first_codes,
                                                   __m512i last_codes) {
  const std::int16_t* from = panel.numbers + group * n_numbers(kFormat);
  const auto times = [](__m512i x, int by) { return _mm512_mullo_epi32(x, _mm512_set1_epi32(by)); };
  /// Σ factor · (q - middle) of `n` values, whose Σ q is `codes`.
  const auto sum = [](__m512i factor, __m512i codes, int n) __attribute__((always_inline)) {
    return _mm512_mullo_epi32(factor, _mm512_sub_epi32(codes, _mm512_set1_epi32(n * middle(kFormat))));
  };
  /// The mean of 32 weights that are `all` together, but for what each is more.
  const auto mean = [](__m512i all, __m512i offset) __attribute__((always_inline)) {
    return _mm512_add_epi32(offset, _mm512_srai_epi32(_mm512_add_epi32(all, _mm512_set1_epi32(16)), 5));
  };
  constexpr int kAll = kGroup;
  const __m512i none = _mm512_setzero_si512();
  if constexpr (has_nibbles(kFormat)) {
    __m512i factor, offset, factors;
    if constexpr (kFormat == PanelFormat::nibbles) {
      const __m512i both = _mm512_load_si512(from);
      factors = factor = _mm512_unpacklo_epi16(both, none);  // not negative
      offset = _mm512_srai_epi32(_mm512_unpackhi_epi16(none, both), 16);
    } else {
      factor = widen(from);
      factors = pair(factor, none);
      offset = _mm512_sub_epi32(none, factor);
    }
    return {factors, pair(offset, mean(sum(factor, first_codes, kAll), offset)), none};
  } else if constexpr (kFormat == PanelFormat::sixes_two_factors) {
    const __m512i first = widen(from);
    const __m512i last = widen(from + to_second(kFormat));
    const __m512i all = _mm512_add_epi32(sum(first, first_codes, kAll / 2), sum(last, last_codes, kAll / 2));
    return {none, pair(none, mean(all, none)), pair(times(first, -middle(kFormat)), times(last, -middle(kFormat)))};
  } else {
    const __m512i factor = widen(from);
    const __m512i all = sum(factor, first_codes, kAll);
    if constexpr (!has_sixes(kFormat)) return {none, pair(times(factor, -middle(kFormat)), mean(all, none)), none};
    const __m512i half = times(factor, -middle(kFormat) / 2);
    const __m512i offset = has_two_numbers(kFormat) ? widen(from + to_second(kFormat)) : none;
    return {none, pair(_mm512_add_epi32(offset, half), mean(all, offset)), pair(half, half)};
  }
}

/// Adds Σ q · bytes of a run for 16 columns to `dots`, and gives Σ q.
template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline __m512i add_dots(const std::byte* codes, int run, const Group& x, __m512i (&dots)[N]) {
  CodeSum<kFormat> code_sum;
  for_quads<kFormat>(
      codes, run, [&](__m512i quads, int i) __attribute__((always_inline)) {
        code_sum.add(quads);
#pragma GCC unroll 12
        for (std::size_t r = 0; r < N; ++r)
          dots[r] = _mm512_dpbusd_epi32(dots[r], quads, quad(x.bytes + r * kGroup, i));
      });
  return code_sum.get();
}

/// What a group of 4-bit codes adds.
template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline void add_group(const PanelView& panel, std::size_t g, const Group& x,
                                             __m512 (&sums)[N]) requires(has_nibbles(kFormat)) {
  __m512i dots[N];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_set1_epi32(x.terms[r].start);
  const __m512i code_sum = add_dots<kFormat>(panel.codes + g * code_bytes(kFormat), 0, x, dots);
  const Numbers numbers = load_numbers<kFormat>(panel, g, code_sum, __m512i{});
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    const __m512i terms = _mm512_set1_epi32(x.terms[r].sum_and_centre());
    // A dot has 16 bits: its upper half is multiplied by zero.
    const __m512i whole = _mm512_dpwssd_epi32(_mm512_madd_epi16(dots[r], numbers.factors), terms, numbers.terms);
    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(x.terms[r].step), sums[r]);
  }
}

/// What one of others adds.
template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline void add_group(const PanelView& panel, std::size_t g, const Group& x,
                                             __m512 (&sums)[N]) requires(!has_nibbles(kFormat)) {
  const std::byte* codes = panel.codes + g * code_bytes(kFormat);
  __m512i dots[N];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_castps_si512(_mm512_set1_ps(kDotStart));
  const __m512i first_codes = add_dots<kFormat>(codes, 0, x, dots);
  __m512i last_codes{};
  __m512 products[N];
  const std::int16_t* from = panel.numbers + g * n_numbers(kFormat);
  const __m512 factor = _mm512_cvtepi32_ps(widen(from));
  const __m512 start = _mm512_mul_ps(factor, _mm512_set1_ps(-kDotStart));
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) products[r] = _mm512_fmadd_ps(_mm512_castsi512_ps(dots[r]), factor, start);
  if constexpr (kRuns<kFormat> == 2) {
#pragma GCC unroll 12
    for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_setzero_si512();
    last_codes = add_dots<kFormat>(codes, 1, x, dots);
    const __m512 second = _mm512_cvtepi32_ps(widen(from + to_second(kFormat)));
#pragma GCC unroll 12
    for (std::size_t r = 0; r < N; ++r) {
      products[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r]), second, products[r]);
    }
  }
  const Numbers numbers = load_numbers<kFormat>(panel, g, first_codes, last_codes);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    __m512i whole = _mm512_madd_epi16(_mm512_set1_epi32(x.terms[r].sum_and_centre()), numbers.terms);
    if constexpr (kHasHalves<kFormat>) {
      whole = _mm512_dpwssd_epi32(whole, _mm512_set1_epi32(x.terms[r].halves()), numbers.halves);
    }
    const __m512 sum = _mm512_add_ps(products[r], _mm512_cvtepi32_ps(whole));
    sums[r] = _mm512_fmadd_ps(sum, _mm512_set1_ps(x.terms[r].step), sums[r]);
  }
}

/// Adds the rests of a row's group to its sum. Of each row by itself: seldom are many wide in the same group.
template <PanelFormat kFormat>
[[gnu::noinline]] void add_rests(const PanelView& panel, std::size_t g, const Group& x, __m512& sum) {
  __m512 sums[] = {sum};
  add_group<kFormat>(panel, g, x, sums);
  sum = sums[0];
}

/// What is left to do once all groups are summed: rests, steps, the gate. result_row: of the first row in the results.
template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline void finish(const BlockRows<N>& rows, const PanelView& panel, std::size_t result_row,
                                          const PanelResults& results, __m512 (&sums)[N]) {
  for (std::size_t r = 0; r < N; ++r) {
    for_wide_groups(rows.x, rows.row + r,
                    [&](std::size_t g) { add_rests<kFormat>(panel, g, rows.rests(g, r), sums[r]); });
  }
  const __m512 unit = _mm512_set1_ps(sum_unit(rows.x));
  const __m512 steps = _mm512_mul_ps(_mm512_load_ps(panel.steps), unit);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    __m512 value = _mm512_mul_ps(sums[r], steps);
    if (results.gate != nullptr) value = silu_mul(_mm512_load_ps(results.gate + (result_row + r) * kPanel), value);
    _mm512_mask_storeu_ps(results.out + (result_row + r) * results.stride, results.columns, value);
  }
}

template <PanelFormat kFormat>
void multiply_panel(const ProductTask& task, std::size_t index, const PanelResults& results) {
  const GroupedRows& x = *task.grouped;
  const std::size_t bytes = panel_bytes(kFormat, x.groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, x.groups);
  PanelStream ahead(*task.weights, bytes, 0);
  for_rows<kRows<kFormat>>(task, [&](auto count, std::size_t i) {
    const BlockRows<count.value> rows(x, task.first_row + i);
    __m512 sums[count.value];
#pragma GCC unroll 12
    for (std::size_t r = 0; r < count.value; ++r) sums[r] = _mm512_setzero_ps();
    for (std::size_t g = 0; g < x.groups; ++g) {
      ahead.ask<kLines<kFormat>>();
      add_group<kFormat>(panel, g, rows.codes(g), sums);
    }
    finish<kFormat>(rows, panel, i, results, sums);
  });
}

}  // namespace

void product_grouped_vnni(const ProductTask& task) {
  with_format(task.format, [&](auto format) {
    for_each_panel(task, [&](std::size_t index, const PanelResults& results) {
      multiply_panel<format.value>(task, index, results);
    });
  });
}

}  // namespace headwater::kernels::cpu
