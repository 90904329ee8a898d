// AVX-512 VNNI: a panel's codes of a group are unpacked once for up to twelve rows.

#include <immintrin.h>

#include <new>

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

/// The factors of a run as floats.
template <PanelFormat kFormat>
[[gnu::always_inline]] inline __m512 load_factors(const PanelView& panel, std::size_t group, int run) {
  const std::int16_t* from = panel.numbers + group * n_numbers(kFormat);
  return _mm512_cvtepi32_ps(widen(run == 0 ? from : from + to_second(kFormat)));
}

// A group as add_group() takes it:
//   for_quads(run, use)  calls use(codes, i) for the quads of a run, each once
//   numbers()            after all of them
//   factors(run)         as floats; not of 4-bit codes

/// A group as it lies in its panel.
template <PanelFormat kFormat>
class PackedGroup {
 public:
  [[gnu::always_inline]] PackedGroup(const PanelView& panel, std::size_t g) : panel_(panel), g_(g) {}

  template <class Use>
  [[gnu::always_inline]] void for_quads(int run, const Use& use) {
    headwater::kernels::cpu::for_quads<kFormat>(
        panel_.codes + g_ * code_bytes(kFormat), run, [&](__m512i quads, int i) __attribute__((always_inline)) {
          sums_[run].add(quads);
          use(quads, i);
        });
  }
  [[gnu::always_inline]] Numbers numbers() const {
    return load_numbers<kFormat>(panel_, g_, sums_[0].get(), sums_[1].get());
  }
  [[gnu::always_inline]] __m512 factors(int run) const { return load_factors<kFormat>(panel_, g_, run); }

 private:
  const PanelView& panel_;
  std::size_t g_;
  CodeSum<kFormat> sums_[2];
};

/// The same with each code in a byte and all numbers at hand: what a panel is unpacked to, once for many rows.
template <PanelFormat kFormat>
class OpenGroup {
 public:
  [[gnu::always_inline]] explicit OpenGroup(PackedGroup<kFormat> from) {
    for (int run = 0; run < kRuns<kFormat>; ++run) {
      from.for_quads(
          run, [&](__m512i quads, int i) __attribute__((always_inline)) { quads_[i] = quads; });
    }
    const Numbers numbers = from.numbers();
    terms_ = numbers.terms;
    if constexpr (has_nibbles(kFormat)) {
      factors_ = numbers.factors;
    } else {
      factors_ = _mm512_castps_si512(from.factors(0));
      if constexpr (kHasHalves<kFormat>) halves_ = numbers.halves;
      if constexpr (kRuns<kFormat> == 2) last_factors_ = from.factors(1);
    }
  }

  template <class Use>
  [[gnu::always_inline]] void for_quads(int run, const Use& use) const {
    constexpr int kCount = 8 / kRuns<kFormat>;
#pragma GCC unroll 8
    for (int i = run * kCount; i < (run + 1) * kCount; ++i) use(quads_[i], i);
  }
  [[gnu::always_inline]] Numbers numbers() const { return {factors_, terms_, halves_}; }
  [[gnu::always_inline]] __m512 factors(int run) const {
    return run == 0 ? _mm512_castsi512_ps(factors_) : last_factors_;
  }

 private:
  __m512i quads_[8];
  __m512i factors_;  ///< whole numbers of 4-bit codes, floats of others
  __m512i terms_, halves_;
  __m512 last_factors_;
};
static_assert(sizeof(OpenGroup<PanelFormat::nibbles>) == kOpenGroupBytes);

/// Adds Σ q · bytes of a run for 16 columns to `dots`.
template <std::size_t N, class OneGroup>
[[gnu::always_inline]] inline void add_dots(OneGroup& group, int run, const Group& x, __m512i (&dots)[N]) {
  group.for_quads(
      run, [&](__m512i quads, int i) __attribute__((always_inline)) {
#pragma GCC unroll 12
        for (std::size_t r = 0; r < N; ++r)
          dots[r] = _mm512_dpbusd_epi32(dots[r], quads, quad(x.bytes + r * kGroup, i));
      });
}

/// What a group of 4-bit codes adds.
template <PanelFormat kFormat, std::size_t N, class OneGroup>
[[gnu::always_inline]] inline void add_group(OneGroup& group, const Group& x,
                                             __m512 (&sums)[N]) requires(has_nibbles(kFormat)) {
  __m512i dots[N];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_set1_epi32(x.terms[r].start);
  add_dots(group, 0, x, dots);
  const Numbers numbers = group.numbers();
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    const __m512i terms = _mm512_set1_epi32(x.terms[r].sum_and_centre());
    // A dot has 16 bits: its upper half is multiplied by zero.
    const __m512i whole = _mm512_dpwssd_epi32(_mm512_madd_epi16(dots[r], numbers.factors), terms, numbers.terms);
    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(x.terms[r].step), sums[r]);
  }
}

/// What one of others adds.
template <PanelFormat kFormat, std::size_t N, class OneGroup>
[[gnu::always_inline]] inline void add_group(OneGroup& group, const Group& x,
                                             __m512 (&sums)[N]) requires(!has_nibbles(kFormat)) {
  __m512i dots[N];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_castps_si512(_mm512_set1_ps(kDotStart));
  add_dots(group, 0, x, dots);
  __m512 products[N];
  const __m512 factor = group.factors(0);
  const __m512 start = _mm512_mul_ps(factor, _mm512_set1_ps(-kDotStart));
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) products[r] = _mm512_fmadd_ps(_mm512_castsi512_ps(dots[r]), factor, start);
  if constexpr (kRuns<kFormat> == 2) {
#pragma GCC unroll 12
    for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_setzero_si512();
    add_dots(group, 1, x, dots);
    const __m512 second = group.factors(1);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < N; ++r) {
      products[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r]), second, products[r]);
    }
  }
  const Numbers numbers = group.numbers();
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
[[gnu::noinline]] void add_rests(PackedGroup<kFormat> group, const Group& x, __m512& sum) {
  __m512 sums[] = {sum};
  add_group<kFormat>(group, x, sums);
  sum = sums[0];
}

/// What is left to do once all groups and rests are summed: steps, the gate. first: of the rows, in the results.
template <std::size_t N>
[[gnu::always_inline]] inline void store(const GroupedRows& x, const PanelView& panel, std::size_t first,
                                         const PanelResults& results, const __m512 (&sums)[N]) {
  const __m512 unit = _mm512_set1_ps(sum_unit(x));
  const __m512 steps = _mm512_mul_ps(_mm512_load_ps(panel.steps), unit);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    __m512 value = _mm512_mul_ps(sums[r], steps);
    if (results.gate != nullptr) value = silu_mul(_mm512_load_ps(results.gate + (first + r) * kPanel), value);
    _mm512_mask_storeu_ps(results.out + (first + r) * results.stride, results.columns, value);
  }
}

/// The rows of a block, or some of them, with groups as their panel has them.
template <PanelFormat kFormat>
void multiply_few(const ProductTask& task, const PanelView& panel, PanelStream& ahead, const PanelResults& results) {
  const GroupedRows& x = *task.grouped;
  for_rows<kRows<kFormat>>(task, [&](auto count, std::size_t i) {
    const BlockRows<count.value> rows(x, task.first_row + i);
    __m512 sums[count.value];
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    for (std::size_t g = 0; g < x.groups; ++g) {
      ahead.ask<kLines<kFormat>>();
      PackedGroup<kFormat> group(panel, g);
      add_group<kFormat>(group, rows.codes(g), sums);
    }
    for (std::size_t r = 0; r < count.value; ++r) {
      for_wide_groups(x, rows.row + r, [&](std::size_t g) {
        add_rests<kFormat>(PackedGroup<kFormat>(panel, g), rows.rests(g, r), sums[r]);
      });
    }
    store(x, panel, i, results, sums);
  });
}

/// Several blocks. The panel's groups are unpacked once for all of them.
template <PanelFormat kFormat>
void multiply_many(const ProductTask& task, const PanelView& panel, PanelStream& ahead, const PanelResults& results) {
  const GroupedRows& x = *task.grouped;
  auto* const groups =
      reinterpret_cast<OpenGroup<kFormat>*>(task.scratch + scratch_bytes(task.end_row - task.first_row));
  for (std::size_t g = 0; g < x.groups; ++g) {
    ahead.ask<kLines<kFormat>>();
    new (groups + g) OpenGroup<kFormat>(PackedGroup<kFormat>(panel, g));
  }
  for_rows<kRows<kFormat>>(task, [&](auto count, std::size_t i) {
    const BlockRows<count.value> rows(x, task.first_row + i);
    __m512 sums[count.value];
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    for (std::size_t g = 0; g < x.groups; ++g) add_group<kFormat>(groups[g], rows.codes(g), sums);
    __m512 whole[count.value];  // in memory, as rows are picked out of it
#pragma GCC unroll 12
    for (std::size_t r = 0; r < count.value; ++r) whole[r] = sums[r];
    for_listed_groups(
        x, rows.row / x.height, rows.row % x.height,
        count.value, [&](std::size_t r, const WideGroup& wide) __attribute__((always_inline)) {
          __m512 sum[] = {whole[r]};
          add_group<kFormat>(groups[wide.group], {wide.rests, &wide.terms}, sum);
          whole[r] = sum[0];
        });
    store(x, panel, i, results, whole);
  });
}

template <PanelFormat kFormat>
void multiply_panel(const ProductTask& task, std::size_t index, const PanelResults& results) {
  const std::size_t groups = task.grouped->groups;
  const std::size_t bytes = panel_bytes(kFormat, groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, groups);
  PanelStream ahead(*task.weights, bytes, 0);
  const bool many = task.end_row - task.first_row > kBlockRows && groups <= kMostOpenGroups;
  many ? multiply_many<kFormat>(task, panel, ahead, results) : multiply_few<kFormat>(task, panel, ahead, results);
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
