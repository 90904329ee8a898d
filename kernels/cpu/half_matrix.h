#pragma once
// Weights for the products of half_product.h.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/half_product.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/weight_memory.h"

namespace headwater::kernels::cpu {

/// A weight matrix ready for such products.
class HalfMatrix : public Matrix {
 public:
  /// Whether this processor computes so: it has AVX2, and no products of bfloat16.
  static bool pays();
  /// Whether that, and none of these weights is of float32.
  static bool takes(std::span<const HostTensor> parts);
  /// Memory of a matrix of this tensor alone.
  static std::uint64_t bytes_of(const HostTensor& tensor);

  /// Stacks `parts` (each [rows, cols], quantised or not). REQUIRES: takes(parts). Throws std::bad_alloc.
  HalfMatrix(std::span<const HostTensor> parts, WeightMemory& memory, ThreadPool& pool);

  /// out = x · weightᵀ. x: [n, cols], out: [n, rows].
  void multiply(const float* x, std::size_t n, float* out, ThreadPool& pool) const;

 private:
  std::size_t n_panels() const { return (rows_ + kHalfPanel - 1) / kHalfPanel; }

  std::shared_ptr<std::byte> panels_;  ///< of 16-bit numbers
  std::vector<float> scales_;          ///< [n_panels(), kHalfPanel]
};

}  // namespace headwater::kernels::cpu
