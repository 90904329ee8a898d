// AVX-512 VNNI: a panel's codes of a group are unpacked once for up to twelve rows.

#include <immintrin.h>

#include "kernels/cpu/grouped_blocks.h"
#include "kernels/cpu/grouped_product.h"
#include "kernels/cpu/panel_codes_avx512.h"
#include "kernels/cpu/silu_avx512.h"

namespace headwater::kernels::cpu {
namespace {

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
  [[gnu::always_inline]] __m512 get() const {
    if constexpr (!has_nibbles(kFormat)) return _mm512_cvtepi32_ps(sum_);
    return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), sum_, _mm512_set1_epi8(1)));
  }

 private:
  __m512i sum_ = _mm512_setzero_si512();
};

/// Of a group's 16 columns. W = factor · q + offset; of two factors, the second is that of the last 16 values, and the
/// offset too: `first_offset` is what that of the first 16 is more.
struct Numbers {
  __m512 factor, second_factor, offset, first_offset;
};
template <PanelFormat kFormat>
[[gnu::always_inline]] inline Numbers load_numbers(const PanelView& panel, std::size_t group) {
  const std::int16_t* from = panel.numbers + group * n_numbers(kFormat);
  const auto times = [](__m512i x, int by) { return _mm512_mullo_epi32(x, _mm512_set1_epi32(by)); };
  const __m512 none = _mm512_setzero_ps();
  if constexpr (kFormat == PanelFormat::nibbles) {
    const __m512i both = _mm512_load_si512(from);
    const __m512i factor = _mm512_srai_epi32(_mm512_unpacklo_epi16(both, both), 16);
    const __m512i offset = _mm512_srai_epi32(_mm512_unpackhi_epi16(both, both), 16);
    const __m512i at_zero = _mm512_add_epi32(_mm512_sub_epi32(offset, _mm512_slli_epi32(factor, 3)), factor);
    static_assert(kMiddle == 7);
    return {_mm512_cvtepi32_ps(factor), none, _mm512_cvtepi32_ps(at_zero), none};
  } else if constexpr (kFormat == PanelFormat::sixes_two_factors) {
    const __m512i factor = widen(from);
    const __m512i second = widen(from + to_second(kFormat));
    return {_mm512_cvtepi32_ps(factor), _mm512_cvtepi32_ps(second), _mm512_cvtepi32_ps(times(second, -middle(kFormat))),
            _mm512_cvtepi32_ps(times(_mm512_sub_epi32(second, factor), middle(kFormat)))};
  } else {
    const __m512i factor = widen(from);
    __m512i offset = times(factor, kFormat == PanelFormat::nibbles_minus_8 ? -8 : -middle(kFormat));
    if constexpr (has_two_numbers(kFormat)) offset = _mm512_add_epi32(offset, widen(from + to_second(kFormat)));
    return {_mm512_cvtepi32_ps(factor), none, _mm512_cvtepi32_ps(offset), none};
  }
}

/// Σ q · bytes of a run for 16 columns, as floats 1.5 · 2^23 more than it. Gives Σ q too.
template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline __m512 make_dots(const std::byte* codes, int run, const Group& x, __m512i (&dots)[N]) {
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) dots[r] = _mm512_castps_si512(_mm512_set1_ps(kDotStart));
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

/// sums[r] += step · (factor · dot)
template <std::size_t N>
[[gnu::always_inline]] inline void add_dots(const __m512i (&dots)[N], __m512 factor, const Group& x,
                                            __m512 (&sums)[N]) {
  const __m512 start = _mm512_mul_ps(factor, _mm512_set1_ps(-kDotStart));
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    const __m512 product = _mm512_fmadd_ps(_mm512_castsi512_ps(dots[r]), factor, start);
    sums[r] = _mm512_fmadd_ps(product, _mm512_set1_ps(x.terms[r].step), sums[r]);
  }
}

template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline void add_group(const PanelView& panel, std::size_t g, const Group& x, __m512 (&sums)[N]) {
  const std::byte* codes = panel.codes + g * code_bytes(kFormat);
  __m512i dots[N];
  __m512 code_sum = make_dots<kFormat>(codes, 0, x, dots);
  const Numbers numbers = load_numbers<kFormat>(panel, g);
  code_sum = _mm512_mul_ps(numbers.factor, code_sum);
  add_dots(dots, numbers.factor, x, sums);
  if constexpr (kRuns<kFormat> == 2) {
    const __m512 second_sum = make_dots<kFormat>(codes, 1, x, dots);
    code_sum = _mm512_fmadd_ps(numbers.second_factor, second_sum, code_sum);
    add_dots(dots, numbers.second_factor, x, sums);
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < N; ++r) {
    sums[r] = _mm512_fmadd_ps(code_sum, _mm512_set1_ps(x.terms[r].centre), sums[r]);
    sums[r] = _mm512_fmadd_ps(numbers.offset, _mm512_set1_ps(x.terms[r].sum), sums[r]);
    if constexpr (kRuns<kFormat> == 2) {
      sums[r] = _mm512_fmadd_ps(numbers.first_offset, _mm512_set1_ps(x.terms[r].first), sums[r]);
    }
  }
}

/// Adds the rests of a group to the sums of the rows in which it is wide, those of the bits in `rows`. Few are: one row
/// after the other costs less than all of them side by side.
template <PanelFormat kFormat>
[[gnu::noinline]] void add_rests(const PanelView& panel, std::size_t g, const Group& x, unsigned rows, __m512* sums) {
  const std::byte* codes = panel.codes + g * code_bytes(kFormat);
  const Numbers numbers = load_numbers<kFormat>(panel, g);
  const __m512 small = _mm512_set1_ps(1.0F / 256);
  for (; rows != 0; rows &= rows - 1) {
    const auto r = static_cast<std::size_t>(__builtin_ctz(rows));
    const Group row = {x.bytes + r * kGroup, x.terms + r};
    __m512 sum[] = {sums[r]};
    __m512i dots[1];
    make_dots<kFormat>(codes, 0, row, dots);
    add_dots(dots, _mm512_mul_ps(numbers.factor, small), row, sum);
    if constexpr (kRuns<kFormat> == 2) {
      make_dots<kFormat>(codes, 1, row, dots);
      add_dots(dots, _mm512_mul_ps(numbers.second_factor, small), row, sum);
    }
    sums[r] = sum[0];
  }
}

/// What is left to do once all groups are summed: rests, steps, the gate. result_row: of the first row in the results.
template <PanelFormat kFormat, std::size_t N>
[[gnu::always_inline]] inline void finish(const BlockRows<N>& rows, const PanelView& panel, std::size_t result_row,
                                          const PanelResults& results, __m512 (&sums)[N]) {
  for_wide_groups(rows.x, rows.row, N, [&](std::size_t g, unsigned of_rows) {
    add_rests<kFormat>(panel, g, rows.at(rows.x.rests, g), of_rows, sums);
  });
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
      add_group<kFormat>(panel, g, rows.at(x.codes, g), sums);
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
