#pragma once
// A matrix whose rows are looked up, such as an embedding: each row has the very bits of the model file.

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/quantized_matrix.h"

namespace headwater::kernels::cpu {

/// Threading: any number of threads may read.
class LookupTable : public Matrix {
 public:
  /// A copy of the table.
  explicit LookupTable(const HostTensor& table);
  /// Of the table that `same` was packed from, only what its panels do not hold as the file has it: the scales. So a
  /// model whose embedding is its output matrix holds it once. REQUIRES: `same` is of `table` alone, and Use::linear.
  LookupTable(const HostTensor& table, const QuantizedMatrix& same);
  /// Memory of its own. shared: of the second kind.
  static std::uint64_t bytes_of(const HostTensor& table, bool shared);

  /// Row `row` as float32, out: [cols].
  void read(std::uint64_t row, std::span<float> out) const;

 private:
  /// As read() does, from scales and panels.
  void put_together(std::uint64_t row, std::span<float> out) const;

  DType type_;
  std::unique_ptr<std::byte[]> bytes_;         ///< the table, or the scales of all its blocks
  std::shared_ptr<const std::byte> panels_{};  ///< null: bytes_ is the table
};

}  // namespace headwater::kernels::cpu
