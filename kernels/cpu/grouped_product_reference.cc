// What every kernel of grouped products must give, bit for bit.

#include <cmath>

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

/// step · (Σ byte · W + centre · mean W) of a group, added to `sum`.
float add_group(const ProductTask& task, const PanelView& panel, std::size_t column, std::size_t g,
                const std::int8_t* bytes, const GroupTerms& terms, float sum) {
  const HalfSums first = sum_half(task, panel, bytes, g, column, 0);
  const HalfSums last = sum_half(task, panel, bytes, g, column, 1);
  const HalfNumbers a = numbers_of(task.format, panel, g, column, 0);
  const HalfNumbers b = numbers_of(task.format, panel, g, column, 1);
  constexpr int kHalf = kGroup / 2;
  const int weights = a.factor * first.codes + b.factor * last.codes + kHalf * (a.offset + b.offset);
  const int mean = (weights + kHalf) >> 5;
  int whole = a.offset * terms.first + b.offset * terms.last + mean * terms.centre;
  if (has_nibbles(task.format)) {
    whole += a.factor * (first.dot + last.dot);
    return std::fma(static_cast<float>(whole), terms.step, sum);
  }
  const auto factor = static_cast<float>(a.factor);
  const float product =
      task.format == PanelFormat::sixes_two_factors
          ? std::fma(static_cast<float>(b.factor), static_cast<float>(last.dot), factor * static_cast<float>(first.dot))
          : factor * static_cast<float>(first.dot + last.dot);
  return std::fma(product + static_cast<float>(whole), terms.step, sum);
}

float element(const ProductTask& task, const PanelView& panel, std::size_t row, std::size_t column) {
  const GroupedRows& x = *task.grouped;
  float sum = 0;
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::size_t place = x.place(row, g);
    sum = add_group(task, panel, column, g, x.codes + place * kGroup, x.terms[place], sum);
  }
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::uint64_t word = x.wide[row * x.wide_words() + g / 64];
    if ((word >> g % 64 & 1U) == 0) continue;
    const std::size_t place = x.place(row, g);
    sum = add_group(task, panel, column, g, x.rests + place * kGroup, x.rest_terms[place], sum);
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
