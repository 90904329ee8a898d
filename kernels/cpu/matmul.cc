#include "kernels/cpu/matmul.h"

#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu {
namespace {

using dnnl::memory;

/// The row count for which the library chooses the weights' layout; all others use the same.
constexpr memory::dim kLayoutRows = 64;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

dnnl::stream& stream() {
  thread_local dnnl::stream queue(engine());
  return queue;
}

memory::data_type input_type() { return has_bf16_products() ? memory::data_type::bf16 : memory::data_type::f32; }

dnnl::matmul::primitive_desc describe(memory::dim rows, memory::dim inner, memory::dim columns,
                                      const memory::desc& weights) {
  const memory::desc source({rows, inner}, input_type(), memory::format_tag::ab);
  const memory::desc target({rows, columns}, memory::data_type::f32, memory::format_tag::ab);
  return {dnnl::matmul::desc(source, weights, target), engine()};
}

std::uint32_t total_rows(std::span<const HostTensor> parts) {
  std::uint64_t rows = 0;
  for (const HostTensor& part : parts) rows += part.rows;
  return static_cast<std::uint32_t>(rows);
}

}  // namespace

bool has_bf16_products() {
  static const bool has = [] {
    switch (dnnl::get_effective_cpu_isa()) {
      case dnnl::cpu_isa::avx512_core_bf16:
      case dnnl::cpu_isa::avx512_core_amx:
        return true;
      default:
        return false;
    }
  }();
  return has;
}

struct PackedMatrix::Impl {
  memory weights;
  std::unordered_map<std::uint32_t, dnnl::matmul> products;  ///< by rows

  const dnnl::matmul& product(std::uint32_t rows, std::uint32_t inner, std::uint32_t columns) {
    const auto found = products.find(rows);
    if (found != products.end()) return found->second;
    return products.emplace(rows, dnnl::matmul(describe(rows, inner, columns, weights.get_desc()))).first->second;
  }
};

PackedMatrix::PackedMatrix(std::span<const HostTensor> parts)
    : Matrix(total_rows(parts), static_cast<std::uint32_t>(parts[0].cols)), impl_(std::make_unique<Impl>()) {
  const bool bf16 = has_bf16_products();
  const std::size_t width = bf16 ? 2 : 4;
  std::vector<std::byte> plain(std::size_t{rows_} * cols_ * width);
  std::size_t row0 = 0;
  for (const HostTensor& part : parts) {
#pragma omp parallel
    {
      std::vector<float> row(cols_);
#pragma omp for
      for (std::size_t r = 0; r < part.rows; ++r) {
        std::byte* out = plain.data() + (row0 + r) * cols_ * width;
        if (bf16) {
          dequantize_row(part, r, row);
          to_bf16(row.data(), cols_, reinterpret_cast<std::uint16_t*>(out));
        } else {
          dequantize_row(part, r, {reinterpret_cast<float*>(out), cols_});
        }
      }
    }
    row0 += part.rows;
  }
  const memory::dim inner = cols_;
  const memory::dim columns = rows_;
  const memory::desc any({inner, columns}, input_type(), memory::format_tag::any);
  const memory::desc given({inner, columns}, input_type(), memory::dims{1, inner});  // weightᵀ, as it lies there
  memory source(given, engine(), plain.data());
  impl_->weights = memory(describe(kLayoutRows, inner, columns, any).weights_desc(), engine());
  dnnl::reorder(source, impl_->weights).execute(stream(), source, impl_->weights);
  stream().wait();
}

PackedMatrix::~PackedMatrix() = default;

std::uint32_t PackedMatrix::padded(std::uint32_t rows) {
  const std::uint32_t step = rows <= 8 ? 1 : rows <= 64 ? 8 : 32;
  return (rows + step - 1) / step * step;
}

void PackedMatrix::multiply(const void* x, std::uint32_t rows, float* out) const {
  const std::uint32_t n = padded(rows);
  const dnnl::matmul& product = impl_->product(n, cols_, rows_);
  const memory::desc source({n, cols_}, input_type(), memory::format_tag::ab);
  const memory::desc target({n, rows_}, memory::data_type::f32, memory::format_tag::ab);
  product.execute(stream(), {{DNNL_ARG_SRC, memory(source, engine(), const_cast<void*>(x))},
                             {DNNL_ARG_WEIGHTS, impl_->weights},
                             {DNNL_ARG_DST, memory(target, engine(), out)}});
  stream().wait();
}

}  // namespace headwater::kernels::cpu
