// What every product kernel must give, bit for bit.

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

int code(const ProductTask& task, const PanelView& panel, std::size_t group, std::size_t column, std::size_t k) {
  const std::byte* codes = panel.codes + group * code_bytes(task.format);
  const std::size_t place = k / 4 * 4 * kPanel + column * 4 + k % 4;
  if (has_sixes(task.format)) {
    const std::size_t quad = k / 4;
    const auto byte = [&](std::size_t i) {
      return std::to_integer<int>(codes[(quad / 4 * 3 + i) * 4 * kPanel + column * 4 + k % 4]);
    };
    if (quad % 4 < 3) return byte(quad % 4) & 63;
    return byte(0) >> 6 << 4 | byte(1) >> 6 << 2 | byte(2) >> 6;
  }
  if (!has_nibbles(task.format)) return std::to_integer<int>(codes[place]);
  constexpr std::size_t kHalf = kPanel * kGroup / 2;
  return std::to_integer<int>(place < kHalf ? codes[place] & std::byte{15} : codes[place - kHalf] >> 4);
}

float element(const ProductTask& task, const PanelView& panel, std::size_t row, std::size_t column) {
  const QuantizedRows& x = *task.x;
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < x.groups * kGroup; ++k) {
    const std::size_t group = k / kGroup;
    const std::int8_t* high = x.at(row, k / kStep) + k % kStep;
    const std::int64_t activation = 256 * high[0] + high[x.low];
    const int q = code(task, panel, group, column, k % kGroup);
    const std::int16_t* numbers = panel.numbers + group * n_numbers(task.format) + factor_place(task.format, column);
    const int factor = numbers[0];
    const int second = has_two_numbers(task.format) ? numbers[to_second(task.format)] : 0;
    if (task.format == PanelFormat::sixes_two_factors) {
      sum += activation * ((k % kGroup < kGroup / 2 ? factor : second) * (q - middle(task.format)));
      continue;
    }
    if (!has_nibbles(task.format)) {
      sum += activation * (factor * (q - middle(task.format)) + second);
      continue;
    }
    const int offset = task.format == PanelFormat::nibbles ? second : -factor;
    const int weight = factor * (q - kMiddle) + offset;
    const int coarse_weight = coarse(factor) * (q - kMiddle) + coarse(offset);
    sum += 256 * std::int64_t{high[0] * weight + high[x.low] * coarse_weight};
  }
  return static_cast<float>(sum >> (8 + sum_shift(x.groups * kGroup))) * panel.steps[column] * x.scales[row];
}

}  // namespace

void product_reference(const ProductTask& task) {
  for (std::size_t p = task.first_panel; p < task.end_panel; ++p) {
    const PanelView panel =
        view_panel(task.format, task.panels + p * panel_bytes(task.format, task.x->groups), task.x->groups);
    for (std::size_t row = task.first_row; row < task.end_row; ++row) {
      for (std::size_t i = 0; i < kPanel && p * kPanel + i < task.columns; ++i) {
        task.out[row * task.out_stride + p * kPanel + i] = element(task, panel, row, i);
      }
    }
  }
}

}  // namespace headwater::kernels::cpu
