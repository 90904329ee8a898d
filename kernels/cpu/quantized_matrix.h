#pragma once
// Weight matrices that keep the 4 or 8 bits of the model file, in panels of 16 columns of the result (see product.h).

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/weight_memory.h"

namespace headwater::kernels::cpu {

/// The kernels that this machine runs best. They give the same bits.
struct ProductKernels {
  ProductKernel few_rows = nullptr;
  bool few_gate = false;              ///< whether few_rows does gated products
  ProductKernel many_rows = nullptr;  ///< better from min_rows on; takes rows in tiles, and gates; may be null
  std::size_t min_rows = 0;
};
const ProductKernels& product_kernels();

/// The panels of a matrix, as products share them out: of gated ones, pairs.
struct WeightRange {
  std::shared_ptr<const std::byte> panels;
  std::size_t n_panels = 0, panel_bytes = 0;

  /// The part of it that a thread of `pool` begins with if each task has all rows.
  WeightStream::Range share(const ThreadPool& pool, std::size_t thread) const;
  /// From panel `first` to before panel `end`.
  WeightStream::Range part(std::size_t first, std::size_t end) const;
};

/// Writes the codes of group `group` of row `row` into `block`, behind the block's scale (and minimum) that stand
/// there: the bytes that the panels of a matrix (Use::linear) were made of. REQUIRES: QuantizedMatrix::restores(type).
void read_codes(DType type, const std::byte* panels, std::uint64_t row, std::size_t group, std::size_t groups,
                std::byte* block);

class QuantizedMatrix : public Matrix {
 public:
  /// Whether the parts (each [rows, cols], one above the other) can be kept: all of one type, which has one scale for
  /// each 32 values, and a minimum only with codes of 4 bits; and of no more than 32,768 columns.
  static bool takes(std::span<const HostTensor> parts);
  /// Whether the rows of the file can be put together again, see read_codes().
  static bool restores(DType type);
  /// Memory of a matrix of this tensor alone. REQUIRES: takes(tensor).
  static std::uint64_t bytes_of(const HostTensor& tensor);

  enum class Use : std::uint8_t {
    linear,
    gated,  ///< of gate above up: only multiply_gated()
  };

  /// REQUIRES: takes(parts). Throws std::bad_alloc.
  QuantizedMatrix(std::span<const HostTensor> parts, Use use, WeightMemory& memory, ThreadPool& pool);

  /// out = x · weightᵀ. x: [n, cols], out: [n, rows]. `rounded` is overwritten.
  void multiply(const float* x, std::size_t n, float* out, Activations& rounded, ThreadPool& pool) const;

  /// out = silu(x · gateᵀ) * (x · upᵀ), of gate above up. out: [n, rows / 2].
  void multiply_gated(const float* x, std::size_t n, float* out, Activations& rounded, ThreadPool& pool) const;

  /// These weights as others' next.
  const WeightRange& range() const { return range_; }
  /// What is read after these weights, to be filled in: a thread asks for it while it computes the last of these.
  const std::shared_ptr<WeightRange>& next() const { return next_; }

  /// The whole of a product as one task, without scratch.
  ProductTask task(const Activations& x, float* out) const;

 private:
  void quantize(const float* x, std::size_t n, Activations& rounded, ThreadPool& pool) const;
  void run(const ProductTask& whole, ThreadPool& pool) const;

  /// Which row of the weights column `column` of panel `panel` is; rows() or more: none.
  std::size_t row_of(std::size_t panel, std::size_t column) const;

  PanelFormat format_;
  bool paired_;  ///< panels of the gate and of the up matrix take turns
  std::size_t groups_;
  WeightRange range_;
  std::shared_ptr<WeightRange> next_ = std::make_shared<WeightRange>();
};

}  // namespace headwater::kernels::cpu
