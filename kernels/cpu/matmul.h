#pragma once
// Matrix products on the CPU by oneDNN: weights reordered once into the library's own layout, one primitive for
// each number of rows.

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/backend.h"

namespace headwater::kernels::cpu {

/// Whether products take bfloat16 inputs (AVX-512 BF16 or AMX); otherwise float32.
bool has_bf16_products();

/// A weight matrix ready for products.
class PackedMatrix : public Matrix {
 public:
  /// Stacks `parts` (each [rows, cols], quantised or not).
  explicit PackedMatrix(std::span<const HostTensor> parts);
  ~PackedMatrix() override;

  /// out = x · weightᵀ. x: [rows, cols], bfloat16 if has_bf16_products(), else float32. out: [rows, this->rows()].
  /// x and out must have room for padded(rows) rows.
  void multiply(const void* x, std::uint32_t rows, float* out) const;

  /// Rows that are really computed for `rows`: fewer distinct sizes, fewer primitives to make.
  static std::uint32_t padded(std::uint32_t rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::kernels::cpu
