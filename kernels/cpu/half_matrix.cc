#include "kernels/cpu/half_matrix.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/float_product.h"
#include "kernels/cpu/thread_scratch.h"
#include "kernels/tensor.h"

namespace headwater::kernels::cpu {
namespace {

/// What numbers are multiplied by so that the greatest is in [2^14, 2^15).
float scale_up(std::span<const float> values) {
  float greatest = 0;
  for (const float value : values) greatest = std::max(greatest, std::abs(value));
  if (!(greatest > 0) || !std::isfinite(greatest)) return 1;
  int exponent = 0;
  std::frexp(greatest, &exponent);
  return std::ldexp(1.0F, std::min(15 - exponent, 126));
}

/// Calls take(row, values) for rows [first, end) of the stacked parts. values: [cols], to work with.
template <class Take>
void for_values(std::span<const HostTensor> parts, std::size_t first, std::size_t end, std::span<float> values,
                const Take& take) {
  std::size_t before = 0;
  for (const HostTensor& part : parts) {
    for (std::size_t r = std::max(first, before); r < std::min(end, before + part.rows); ++r) {
      dequantize_row(part, r - before, values);
      take(r);
    }
    before += part.rows;
  }
}

}  // namespace

bool HalfMatrix::pays() { return cpu_features().avx2 && !has_bf16_products(); }

bool HalfMatrix::takes(std::span<const HostTensor> parts) {
  return pays() && std::ranges::none_of(parts, [](const HostTensor& part) { return part.type == DType::f32; });
}

std::uint64_t HalfMatrix::bytes_of(const HostTensor& tensor) {
  return (tensor.rows + kHalfPanel - 1) / kHalfPanel * kHalfPanel * tensor.cols * sizeof(std::uint16_t);
}

HalfMatrix::HalfMatrix(std::span<const HostTensor> parts, WeightMemory& memory, ThreadPool& pool)
    : Matrix(0, static_cast<std::uint32_t>(parts[0].cols)) {
  for (const HostTensor& part : parts) rows_ += static_cast<std::uint32_t>(part.rows);
  const std::size_t panel = std::size_t{cols_} * kHalfPanel;
  panels_ = memory.take(n_panels() * panel * sizeof(std::uint16_t));
  scales_.resize(n_panels() * kHalfPanel);
  pool.run(n_panels(), [&](std::size_t index) {
    auto* const numbers = reinterpret_cast<std::uint16_t*>(panels_.get()) + index * panel;
    std::fill_n(numbers, panel, std::uint16_t{0});
    std::vector<float> values(cols_);
    std::vector<std::uint16_t> row(cols_);
    const std::size_t first = index * kHalfPanel;
    for_values(parts, first, first + kHalfPanel, values, [&](std::size_t r) {
      const float up = scale_up(values);
      scales_[r] = 1 / up;
      to_half_avx2(values.data(), cols_, up, row.data());
      for (std::size_t k = 0; k < cols_; ++k) numbers[k * kHalfPanel + r - first] = row[k];
    });
  });
}

void HalfMatrix::multiply(const float* x, std::size_t n, float* out, ThreadPool& pool) const {
  const std::size_t panel = std::size_t{cols_} * kHalfPanel;
  pool.run(n_panels(), [&](std::size_t index) {
    HalfTask task{};
    task.panel = reinterpret_cast<const std::uint16_t*>(panels_.get()) + index * panel;
    task.scales = scales_.data() + index * kHalfPanel;
    task.k = cols_;
    task.x = x;
    task.rows = n;
    task.sums = reinterpret_cast<float*>(thread_scratch(n * kHalfPanel * sizeof(float)));
    task.out = out + index * kHalfPanel;
    task.out_stride = rows_;
    task.columns = std::min(kHalfPanel, rows_ - index * kHalfPanel);
    half_product_avx2(task);
  });
}

}  // namespace headwater::kernels::cpu
