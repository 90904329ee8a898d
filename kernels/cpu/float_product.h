#pragma once
// Products with weights that are not quantised, by oneDNN: weights reordered once into the library's own layout, and
// for each shape the few row counts whose kernels have been seen to give the same bits.
//
// The library chooses how it splits the sum over cols by the number of rows and threads, and then a row's last bits
// depend on its company. So each shape is tried when it first appears: kernels for 1, 2, 4 … 256 rows are held, on
// random numbers, against the product in tiles of 16 rows by one thread, and only those that agree in every bit are
// used. The tile itself always agrees, so there is always a way.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "kernels/backend.h"

namespace headwater::kernels::cpu {

/// Whether products take bfloat16 inputs (AVX-512 BF16 or AMX); otherwise float32.
bool has_bf16_products();

/// Rows for which the inputs and outputs of a product of `rows` rows need room.
std::uint32_t padded_rows(std::uint32_t rows);

/// The kernels for all matrices of one shape.
class ProductShape;

/// A weight matrix ready for products.
class PackedMatrix : public Matrix {
 public:
  ~PackedMatrix() override;

  /// out = x · weightᵀ. x: [rows, cols], bfloat16 if has_bf16_products(), else float32. out: [rows, this->rows()].
  /// x and out must have room for padded_rows(rows) rows.
  void multiply(const void* x, std::uint32_t rows, float* out) const;

  /// The row counts that are computed at once, ascending.
  std::vector<std::uint32_t> tiles() const;

 private:
  friend class Products;
  struct Weights;
  PackedMatrix(std::uint32_t rows, std::uint32_t cols, std::shared_ptr<const ProductShape> shape);

  std::shared_ptr<const ProductShape> shape_;
  std::unique_ptr<Weights> weights_;
};

/// Makes matrices for products on a fixed number of threads.
class Products {
 public:
  explicit Products(int threads) : threads_(threads) {}

  /// Stacks `parts` (each [rows, cols], quantised or not).
  std::unique_ptr<PackedMatrix> pack(std::span<const HostTensor> parts);

 private:
  const int threads_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::shared_ptr<const ProductShape>> shapes_;  ///< by rows, cols
};

}  // namespace headwater::kernels::cpu
