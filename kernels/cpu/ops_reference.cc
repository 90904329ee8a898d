// The plain forms of the kernels in ops.cc: what they are tested against, and what computes odd tails.

#include <bit>
#include <cmath>
#include <numbers>

#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu::reference {

void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out) {
  float squares = 0;
  for (std::size_t i = 0; i < dim; ++i) squares += x[i] * x[i];
  const float scale = 1.0F / std::sqrt(squares / static_cast<float>(dim) + epsilon);
  for (std::size_t i = 0; i < dim; ++i) out[i] = x[i] * scale * weight[i];
}

void silu_mul(const float* gate, const float* up, std::size_t dim, float* out) {
  for (std::size_t i = 0; i < dim; ++i) out[i] = gate[i] / (1.0F + std::exp(-gate[i])) * up[i];
}

void gelu_mul(const float* gate, const float* up, std::size_t dim, float* out) {
  for (std::size_t i = 0; i < dim; ++i) {
    const double x = gate[i];
    const double y = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    out[i] = static_cast<float>(0.5 * x * (1 + std::tanh(y)) * up[i]);
  }
}

void to_bf16(const float* x, std::size_t n, std::uint16_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    out[i] = static_cast<std::uint16_t>(std::isnan(x[i]) ? bits >> 16U | 0x40U
                                                         : (bits + 0x7FFFU + (bits >> 16U & 1U)) >> 16U);
  }
}

}  // namespace headwater::kernels::cpu::reference
