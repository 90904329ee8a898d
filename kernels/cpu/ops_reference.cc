// The plain forms of the kernels in ops.cc: what they are tested against, and what computes odd tails.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

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

void rope(float* x, const float* cosines, const float* sines, std::size_t pairs, float scale) {
  for (std::size_t i = 0; i < pairs; ++i) {
    const float even = x[2 * i];
    const float odd = x[2 * i + 1];
    x[2 * i] = (even * cosines[i] - odd * sines[i]) * scale;
    x[2 * i + 1] = (even * sines[i] + odd * cosines[i]) * scale;
  }
}

void to_bf16(const float* x, std::size_t n, std::uint16_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    out[i] = static_cast<std::uint16_t>(std::isnan(x[i]) ? bits >> 16U | 0x40U
                                                         : (bits + 0x7FFFU + (bits >> 16U & 1U)) >> 16U);
  }
}

void to_half(const float* x, std::size_t n, Half* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    const std::uint32_t sign = bits >> 16U & 0x8000U;
    const float magnitude = std::min(std::abs(x[i]), 65504.0F);
    std::uint32_t half = 0;
    if (std::isnan(x[i])) {
      half = 0x7E00U;
    } else if (magnitude < 0x1p-14F) {  // subnormal: a multiple of 2^-24
      half = static_cast<std::uint32_t>(std::nearbyint(magnitude * 0x1p24F));
    } else {
      const auto wide = std::bit_cast<std::uint32_t>(magnitude) - (112U << 23U);
      half = (wide + 0xFFFU + (wide >> 13U & 1U)) >> 13U;
    }
    out[i] = static_cast<Half>(sign | half);
  }
}

float from_half(Half half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000U} << 16U;
  const std::uint32_t exponent = half >> 10U & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1p-24F;
    return sign == 0 ? value : -value;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 255U : exponent + 112U) << 23U | mantissa << 13U);
}

void attend(const AttendTask& task) {
  for (std::size_t q = 0; q < task.n_queries; ++q) {
    const std::size_t context = task.contexts[q];
    std::vector<double> weights(context);
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t t = 0; t < context; ++t) {
      const Half* keys = task.blocks[t / task.block_tokens];
      for (std::size_t i = 0; i < task.head_dim; ++i) {
        weights[t] += double{task.queries[q][i]} * from_half(keys[i * task.block_tokens + t % task.block_tokens]);
      }
      most = std::max(most, weights[t]);
    }
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - most);
    for (std::size_t i = 0; i < task.head_dim; ++i) {
      double sum = 0;
      for (std::size_t t = 0; t < context; ++t) {
        const Half* values = task.blocks[t / task.block_tokens] + task.head_dim * task.block_tokens;
        sum += weights[t] * from_half(values[t % task.block_tokens * task.head_dim + i]);
      }
      task.outputs[q][i] = static_cast<float>(sum / total);
    }
  }
}

}  // namespace headwater::kernels::cpu::reference
