// What every product kernel must give, bit for bit.

#include <cmath>
#include <cstring>

#include "kernels/cpu/product.h"
#include "kernels/tensor.h"

namespace headwater::kernels::cpu {
namespace {

class Panel {
 public:
  Panel(const ProductTask& task, std::size_t panel)
      : format_(task.format),
        groups_(task.x->groups),
        codes_(task.panels + panel * panel_bytes(format_, groups_)),
        parameters_(reinterpret_cast<const std::uint16_t*>(codes_ + groups_ * code_bytes(format_))) {}

  int code(std::size_t group, std::size_t column, std::size_t k) const {
    const std::byte* codes = codes_ + group * code_bytes(format_);
    const std::size_t place = k / 4 * 4 * kPanel + column * 4 + k % 4;
    if (format_ == PanelFormat::bytes_from_minus_128) return static_cast<int>(codes[place]);
    const std::size_t half = kPanel * kGroup / 2;
    return static_cast<int>(place < half ? codes[place] & std::byte{0x0F} : codes[place - half] >> 4);
  }
  float scale(std::size_t group, std::size_t column) const {
    return half_to_float(parameters_[group * kPanel + column]);
  }
  float minimum(std::size_t group, std::size_t column) const {
    switch (format_) {
      case PanelFormat::nibbles:
        return half_to_float(parameters_[(groups_ + group) * kPanel + column]);
      case PanelFormat::nibbles_from_minus_8:
        return scale(group, column) * -8;
      default:
        return scale(group, column) * -128;
    }
  }

 private:
  PanelFormat format_;
  std::size_t groups_;
  const std::byte* codes_;
  const std::uint16_t* parameters_;
};

float element(const Panel& panel, const QuantizedRows& x, std::size_t row, std::size_t column) {
  float sum = 0;
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::int8_t* codes = x.code(row, g);
    int dot = 0;
    for (std::size_t k = 0; k < kGroup; ++k) dot += panel.code(g, column, k) * (16 * codes[k] + codes[kGroup + k]);
    const float* scale = x.scale(row, g);
    sum = std::fma(static_cast<float>(dot) * panel.scale(g, column), scale[0], sum);
    sum = std::fma(panel.minimum(g, column), scale[kTileRows], sum);
  }
  return sum;
}

}  // namespace

void product_reference(const ProductTask& task) {
  for (std::size_t p = task.first_panel; p < task.end_panel; ++p) {
    const Panel panel(task, p);
    for (std::size_t row = 0; row < task.x->rows; ++row) {
      for (std::size_t i = 0; i < kPanel && p * kPanel + i < task.columns; ++i) {
        task.out[row * task.columns + p * kPanel + i] = element(panel, *task.x, row, i);
      }
    }
  }
}

}  // namespace headwater::kernels::cpu
