#pragma once
// Grouped products in vectors of 256 bits. Kernels for several instruction sets differ in how they make dots:
//
//   template <PanelFormat kFormat> class Dot {  // Σ q · bytes of a run, for eight columns and one row
//    public:
//     void add(const TwoQuads& quads, const std::int8_t* bytes);
//     __m256i times(const Factor& factor) const;  // of 4-bit codes: factor · dot
//     __m256 value() const;                       // of others: the dot
//   };
//
// Dots of several rows fill the registers: the sums of groups lie in memory, which costs a load and a store for each.

#include <immintrin.h>

#include "kernels/cpu/grouped_blocks.h"
#include "kernels/cpu/panel_codes_avx2.h"
#include "kernels/cpu/panel_results_avx2.h"

// What is inline here must be inlined (see product.h). Other functions are static: GCC gives templates of a file's own
// templates one name for all files.

namespace headwater::kernels::cpu {

/// Codes of two quads of K for eight columns, a byte each, and which of the group they are.
struct TwoQuads {
  __m256i codes[2];
  int at[2];
};
/// Calls use(quads) for those of a run, two by two.
template <PanelFormat kFormat, class Use>
[[gnu::always_inline]] inline void for_two_quads(const std::byte* codes, int run, const Use& use) {
  constexpr int kCount = 4 / kRuns<kFormat>;
#pragma GCC unroll 4
  for (int i = run * kCount; i < (run + 1) * kCount; ++i) {
    const int first = has_nibbles(kFormat) ? i : 2 * i;
    const int second = has_nibbles(kFormat) ? i + 4 : 2 * i + 1;  // nibbles: of the same bytes
    use(TwoQuads{{load_quad_256<kFormat>(codes, first), load_quad_256<kFormat>(codes, second)}, {first, second}});
  }
}

/// A factor for each of eight columns.
struct Factor {
  __m256i pairs;  ///< twice, in 16 bits

  [[gnu::always_inline]] __m256i whole() const { return _mm256_srai_epi32(pairs, 16); }
  [[gnu::always_inline]] __m256 value() const { return _mm256_cvtepi32_ps(whole()); }
};

/// Σ q of a run for eight columns, in two parts of 16 bits.
template <PanelFormat kFormat>
class CodeSum256 {
 public:
  [[gnu::always_inline]] void add(const TwoQuads& quads) {
    if constexpr (has_nibbles(kFormat)) {
      sum_ = _mm256_add_epi8(sum_, _mm256_add_epi8(quads.codes[0], quads.codes[1]));  // eight times 15
    } else if constexpr (has_sixes(kFormat)) {
      sum_ = _mm256_add_epi16(sum_, pairs(_mm256_add_epi8(quads.codes[0], quads.codes[1])));
    } else {
      sum_ = _mm256_add_epi16(sum_, _mm256_add_epi16(pairs(quads.codes[0]), pairs(quads.codes[1])));
    }
  }
  [[gnu::always_inline]] __m256i get() const { return has_nibbles(kFormat) ? pairs(sum_) : sum_; }

 private:
  [[gnu::always_inline]] static __m256i pairs(__m256i bytes) {
    return _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  }
  __m256i sum_ = _mm256_setzero_si256();
};

/// Of a group's eight columns.
struct Numbers256 {
  Factor factor, second_factor;
  __m256i terms, halves;  ///< what GroupTerms::sum_and_centre() and halves() are multiplied with
};
/// Eight numbers, twice each.
[[gnu::always_inline]] inline __m256i twice(const std::int16_t* numbers) {
  const __m256i order = _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7,  //
                                         8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 15, 14, 15);
  const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(eight), order);
}
/// `low` in the lower 16 bits, `high` in the upper.
[[gnu::always_inline]] inline __m256i pair_256(__m256i low, __m256i high) {
  return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xAA);
}
/// first_codes, last_codes: of the runs, as CodeSum256 gives them.
template <PanelFormat kFormat>
[[gnu::always_inline]] inline Numbers256 load_numbers_256(const PanelView& panel, std::size_t group, std::size_t half,
                                                          __m256i first_codes, __m256i last_codes) {
  const std::int16_t* from = panel.numbers + group * n_numbers(kFormat) + factor_place(kFormat, half * kLanes256);
  /// Σ of a factor times `by` and a second number times `by_second`.
  const auto sum = [](__m256i factor, __m256i second, int by, int by_second) __attribute__((always_inline)) {
    const __m256i both = _mm256_blend_epi16(factor, second, 0xAA);
    return _mm256_madd_epi16(both, _mm256_set1_epi32((by & 0xFFFF) | by_second << 16));
  };
  /// The mean of factor · q, and of what it is more at zero.
  const auto mean = [](__m256i products, __m256i at_zero) __attribute__((always_inline)) {
    return _mm256_add_epi32(_mm256_srai_epi32(_mm256_add_epi32(products, _mm256_set1_epi32(16)), 5), at_zero);
  };
  constexpr int kAtZero = kFormat == PanelFormat::nibbles_minus_8 ? -8 : -middle(kFormat);
  const __m256i none = _mm256_setzero_si256();
  if constexpr (kFormat == PanelFormat::nibbles) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const Factor factor{_mm256_unpacklo_epi16(both, both)};
    const __m256i at_zero = sum(factor.pairs, _mm256_unpackhi_epi16(both, both), kAtZero, 1);
    return {factor, factor, pair_256(at_zero, mean(_mm256_madd_epi16(first_codes, factor.pairs), at_zero)), none};
  } else if constexpr (kFormat == PanelFormat::sixes_two_factors) {
    const Factor first{twice(from)};
    const Factor last{twice(from + to_second(kFormat))};
    const __m256i products =
        _mm256_add_epi32(_mm256_madd_epi16(first_codes, first.pairs), _mm256_madd_epi16(last_codes, last.pairs));
    const __m256i halves = pair_256(sum(first.pairs, none, kAtZero, 0), sum(last.pairs, none, kAtZero, 0));
    const __m256i at_zero = sum(first.pairs, last.pairs, kAtZero / 2, kAtZero / 2);
    return {first, last, pair_256(none, mean(products, at_zero)), halves};
  } else {
    const Factor factor{twice(from)};
    const __m256i products = _mm256_madd_epi16(first_codes, factor.pairs);
    const __m256i offset = has_two_numbers(kFormat) ? twice(from + to_second(kFormat)) : none;
    const __m256i at_zero = sum(factor.pairs, offset, kAtZero, 1);
    if constexpr (!has_sixes(kFormat)) return {factor, factor, pair_256(at_zero, mean(products, at_zero)), none};
    const __m256i half = sum(factor.pairs, none, kAtZero / 2, 0);
    const __m256i more = sum(factor.pairs, offset, kAtZero / 2, 1);
    return {factor, factor, pair_256(more, mean(products, at_zero)), pair_256(half, half)};
  }
}

/// The dots of a run and of N rows. Gives Σ q too, as CodeSum256 does.
template <PanelFormat kFormat, class OneDot, std::size_t N>
[[gnu::always_inline]] inline __m256i make_dots_256(const std::byte* codes, int run, const std::int8_t* bytes,
                                                    OneDot (&dots)[N]) {
  CodeSum256<kFormat> code_sum;
  for_two_quads<kFormat>(
      codes, run, [&](const TwoQuads& quads) __attribute__((always_inline)) {
        code_sum.add(quads);
#pragma GCC unroll 12
        for (std::size_t r = 0; r < N; ++r) dots[r].add(quads, bytes + r * kGroup);
      });
  return code_sum.get();
}

template <template <PanelFormat> class Dot, PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline void add_group_256(const PanelView& panel, std::size_t g, std::size_t half,
                                                 const Group& x, __m256 (&sums)[N]) {
  constexpr bool kTwo = kRuns<kFormat> == 2;
  const std::byte* codes = panel.codes + g * code_bytes(kFormat) + half * sizeof(__m256i);
  Dot<kFormat> first[N];
  Dot<kFormat> last[kTwo ? N : 1];
  const __m256i first_codes = make_dots_256<kFormat>(codes, 0, x.bytes, first);
  __m256i last_codes{};
  if constexpr (kTwo) last_codes = make_dots_256<kFormat>(codes, 1, x.bytes, last);
  const Numbers256 numbers = load_numbers_256<kFormat>(panel, g, half, first_codes, last_codes);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    const GroupTerms& terms = x.terms[r];
    __m256i whole = _mm256_madd_epi16(_mm256_set1_epi32(terms.sum_and_centre()), numbers.terms);
    if constexpr (kHasHalves<kFormat>) {
      const __m256i halves = _mm256_set1_epi32(terms.halves());
      whole = _mm256_add_epi32(whole, _mm256_madd_epi16(halves, numbers.halves));
    }
    __m256 sum;
    if constexpr (has_nibbles(kFormat)) {
      sum = _mm256_cvtepi32_ps(_mm256_add_epi32(whole, first[r].times(numbers.factor)));
    } else {
      __m256 product = _mm256_mul_ps(first[r].value(), numbers.factor.value());
      if constexpr (kTwo) product = _mm256_fmadd_ps(last[r].value(), numbers.second_factor.value(), product);
      sum = _mm256_add_ps(product, _mm256_cvtepi32_ps(whole));
    }
    sums[r] = settled(_mm256_fmadd_ps(sum, _mm256_set1_ps(terms.step), sums[r]));
  }
}

/// What both halves of a row's sums get from the rests of a group.
template <template <PanelFormat> class Dot, PanelFormat kFormat>
[[gnu::noinline]] static void add_rests_256(const PanelView& panel, std::size_t g, const Group& x, __m256& first,
                                            __m256& last) {
  for (std::size_t half = 0; half < 2; ++half) {
    __m256& sum = half == 0 ? first : last;
    __m256 sums[] = {sum};
    add_group_256<Dot, kFormat>(panel, g, half, x, sums);
    sum = sums[0];
  }
}

template <template <PanelFormat> class Dot, PanelFormat kFormat>
static void multiply_panel_256(const ProductTask& task, std::size_t index, const PanelResults& results) {
  const GroupedRows& x = *task.grouped;
  const std::size_t bytes = panel_bytes(kFormat, x.groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, x.groups);
  PanelStream ahead(*task.weights, bytes, 0);
  for_rows<kBlockRows>(task, [&](auto count, std::size_t i) {
    constexpr std::size_t kN = count.value;
    const BlockRows<kN> rows(x, task.first_row + i);
    __m256 sums[2][kN];
#pragma GCC unroll 2
    for (auto& half : sums) {
#pragma GCC unroll 12
      for (__m256& sum : half) sum = _mm256_setzero_ps();
    }
    for (std::size_t g = 0; g < x.groups; ++g) {
      ahead.ask<kLines<kFormat>>();
      // The compiler must not keep what both halves read of the rows: there are no registers for it.
      const auto add = [&](std::size_t half) __attribute__((always_inline)) {
        const Group group = rows.codes(g);
        add_group_256<Dot, kFormat>(panel, g, half, {settled(group.bytes), settled(group.terms)}, sums[half]);
      };
      if constexpr (kN <= 2) {  // the sums have registers
        add(0);
        add(1);
      } else {
        for (std::size_t half = 0; half < 2; ++half) add(half);
      }
    }
    for_rests(rows, [&](std::size_t r, std::size_t g, const Group& rests) {
      add_rests_256<Dot, kFormat>(panel, g, rests, sums[0][r], sums[1][r]);
    });
    const __m256 unit = _mm256_set1_ps(sum_unit(x));
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t column = half * kLanes256;
      const __m256 steps = _mm256_mul_ps(_mm256_load_ps(panel.steps + column), unit);
      for (std::size_t r = 0; r < kN; ++r) {
        store_results(results, i + r, column, _mm256_mul_ps(sums[half][r], steps));
      }
    }
  });
}

template <template <PanelFormat> class Dot>
[[gnu::always_inline]] inline void product_grouped_256(const ProductTask& task) {
  with_format(task.format, [&](auto format) {
    for_each_panel(task, [&](std::size_t index, const PanelResults& results) {
      multiply_panel_256<Dot, format.value>(task, index, results);
    });
  });
}

}  // namespace headwater::kernels::cpu
