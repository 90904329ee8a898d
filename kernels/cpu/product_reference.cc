// What every product kernel must give, bit for bit.

#include "kernels/cpu/product.h"
#include "kernels/cpu/product_codes.h"

namespace headwater::kernels::cpu {
namespace {

float element(const ProductTask& task, const PanelView& panel, std::size_t row, std::size_t column) {
  const QuantizedRows& x = *task.x;
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < x.groups * kGroup; ++k) {
    const std::size_t group = k / kGroup;
    const std::int8_t* high = x.at(row, k / kStep) + k % kStep;
    const std::int64_t activation = 256 * high[0] + high[x.low];
    const int q = panel_code(task.format, panel, group, column, k % kGroup);
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
