// What every kernel of grouped products must give, bit for bit.

#include <cmath>
#include <utility>

#include "kernels/cpu/grouped_product.h"
#include "kernels/cpu/product_codes.h"

namespace headwater::kernels::cpu {
namespace {

/// factor · q + offset, of half a group.
struct HalfNumbers {
  int factor, offset;
};
HalfNumbers numbers_of(PanelFormat format, const PanelView& panel, std::size_t group, std::size_t column, int half) {
  const std::int16_t* numbers = panel.numbers + group * n_numbers(format) + factor_place(format, column);
  const int second = has_two_numbers(format) ? numbers[to_second(format)] : 0;
  if (format == PanelFormat::sixes_two_factors) {
    const int factor = half == 0 ? numbers[0] : second;
    return {factor, -middle(format) * factor};
  }
  const int centre = format == PanelFormat::nibbles_minus_8 ? 8 : middle(format);
  return {numbers[0], second - centre * numbers[0]};
}

/// Σ q · bytes of half a group, and Σ q.
struct HalfSums {
  int dot = 0, codes = 0;
};
HalfSums sum_half(const ProductTask& task, const PanelView& panel, const std::int8_t* bytes, std::size_t group,
                  std::size_t column, int half) {
  HalfSums sums;
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    const std::size_t k = static_cast<std::size_t>(half) * (kGroup / 2) + i;
    const int q = panel_code(task.format, panel, group, column, k);
    sums.dot += q * bytes[k];
    sums.codes += q;
  }
  return sums;
}

float element(const ProductTask& task, const PanelView& panel, std::size_t row, std::size_t column) {
  const GroupedRows& x = *task.grouped;
  const bool two = task.format == PanelFormat::sixes_two_factors;
  float sum = 0;
  // Σ factor · Σ q · bytes: of both halves at once where they share a factor.
  const auto add_dots = [&](std::size_t g, const std::int8_t* bytes, float unit) {
    const float step = x.terms[x.place(row, g)].step;
    const std::int8_t* const group = bytes + x.place(row, g) * kGroup;
    const HalfSums first = sum_half(task, panel, group, g, column, 0);
    const HalfSums last = sum_half(task, panel, group, g, column, 1);
    const auto add = [&](int half, int dot) {
      const auto factor = static_cast<float>(numbers_of(task.format, panel, g, column, half).factor);
      sum = std::fma(factor * unit * static_cast<float>(dot), step, sum);
    };
    if (two) {
      add(0, first.dot);
      add(1, last.dot);
    } else {
      add(0, first.dot + last.dot);
    }
    return std::pair(first.codes, last.codes);
  };
  for (std::size_t g = 0; g < x.groups; ++g) {
    const GroupTerms& terms = x.terms[x.place(row, g)];
    const auto [first, last] = add_dots(g, x.codes, 1);
    const HalfNumbers a = numbers_of(task.format, panel, g, column, 0);
    const HalfNumbers b = numbers_of(task.format, panel, g, column, 1);
    const auto code_sum = two ? std::fma(static_cast<float>(b.factor), static_cast<float>(last),
                                         static_cast<float>(a.factor) * static_cast<float>(first))
                              : static_cast<float>(a.factor) * static_cast<float>(first + last);
    sum = std::fma(code_sum, terms.centre, sum);
    sum = std::fma(static_cast<float>(b.offset), terms.sum, sum);
    if (two) sum = std::fma(static_cast<float>(a.offset - b.offset), terms.first, sum);
  }
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::uint64_t word = x.wide[row * x.wide_words() + g / 64];
    if ((word >> g % 64 & 1U) != 0) add_dots(g, x.rests, 1.0F / 256);
  }
  return sum * (panel.steps[column] / static_cast<float>(256 << sum_shift(x.groups * kGroup)));
}

}  // namespace

void product_grouped_reference(const ProductTask& task) {
  const std::size_t groups = task.grouped->groups;
  for (std::size_t p = task.first_panel; p < task.end_panel; ++p) {
    const PanelView panel = view_panel(task.format, task.panels + p * panel_bytes(task.format, groups), groups);
    for (std::size_t row = task.first_row; row < task.end_row; ++row) {
      for (std::size_t i = 0; i < kPanel && p * kPanel + i < task.columns; ++i) {
        task.out[row * task.out_stride + p * kPanel + i] = element(task, panel, row, i);
      }
    }
  }
}

}  // namespace headwater::kernels::cpu
