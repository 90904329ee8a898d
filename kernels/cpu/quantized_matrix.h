#pragma once
// Weight matrices that keep the codes of the model file, in panels of 16 columns of the result (see product.h).

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/grouped_rows.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/weight_memory.h"

namespace headwater::kernels::cpu {

/// How what a matrix is multiplied with is rounded.
enum class Rounding : std::uint8_t {
  rows,    ///< to 16 bits, with a step for a row: product.h
  groups,  ///< to 8 bits, with a step for 32 values: grouped_product.h
};

/// Memory for what products round, used again at each.
struct RoundedInputs {
  Activations rows;
  GroupedActivations groups;
};

/// The panels of a matrix, which lie in memory one behind the other.
struct WeightRange {
  /// Panels of one size.
  struct Run {
    std::size_t n_panels, panel_bytes;
  };

  std::shared_ptr<const std::byte> panels;
  std::vector<Run> runs{};
  std::size_t n_panels = 0;  ///< of all runs
  std::size_t together = 1;  ///< panels that products do not part: of gated ones, pairs

  std::size_t bytes() const { return place(n_panels); }
  /// Bytes before panel `panel`.
  std::size_t place(std::size_t panel) const;
  /// The part of it that a thread of `pool` begins with if each task has all rows.
  WeightStream::Range share(const ThreadPool& pool, std::size_t thread) const;
  /// From panel `first` to before panel `end`.
  WeightStream::Range part(std::size_t first, std::size_t end) const;
};

/// Of parts that need panels of different formats, each run of one format is a segment: with panels of its own, the
/// last of which may have columns to spare, and with its columns of the result. A product has one task list for all of
/// them.
class QuantizedMatrix : public Matrix {
 public:
  /// Whether the parts (each [rows, cols], one above the other) can be kept: each of a type with blocks, and of no more
  /// than 32,768 columns.
  static bool takes(std::span<const HostTensor> parts) { return obstacle(parts).empty(); }
  /// Why they cannot be kept: what follows "since". Empty: they can.
  static std::string obstacle(std::span<const HostTensor> parts);
  /// Memory of a matrix of this tensor alone. REQUIRES: takes(tensor).
  static std::uint64_t bytes_of(const HostTensor& tensor);

  enum class Use : std::uint8_t {
    linear,
    gated,  ///< of gate above up: only multiply_gated()
  };

  /// REQUIRES: takes(parts). Throws std::bad_alloc.
  QuantizedMatrix(std::span<const HostTensor> parts, Use use, WeightMemory& memory, ThreadPool& pool,
                  Rounding rounding = Rounding::rows);

  /// out = x · weightᵀ. x: [n, cols], out: [n, rows]. `rounded` is overwritten.
  void multiply(const float* x, std::size_t n, float* out, RoundedInputs& rounded, ThreadPool& pool) const;

  /// out = activation(x · gateᵀ) * (x · upᵀ), of gate above up. out: [n, rows / 2].
  void multiply_gated(const float* x, std::size_t n, Activation activation, float* out, RoundedInputs& rounded,
                      ThreadPool& pool) const;

  /// These weights as others' next.
  const WeightRange& range() const { return range_; }
  /// What is read after these weights, to be filled in: a thread asks for it while it computes the last of these.
  const std::shared_ptr<WeightRange>& next() const { return next_; }

  std::size_t n_segments() const { return segments_.size(); }
  /// The whole of a product with one segment as one task, without its rows and scratch. out: [n, rows] of all segments.
  /// gated: of a matrix whose panels are pairs, the gated product; out is [n, rows / 2] then.
  ProductTask task(std::size_t segment, float* out, bool gated) const;

 private:
  struct Segment {
    PanelFormat format;
    std::size_t first_row, rows;
    std::size_t first_panel;  ///< among those of the matrix, as are all
  };

  void add_segments(std::span<const HostTensor> parts);
  void pack(std::span<const HostTensor> parts, const Segment& segment, std::byte* panels, ThreadPool& pool) const;
  void quantize(const float* x, std::size_t n, RoundedInputs& rounded, ThreadPool& pool) const;
  /// As task() has it, of all segments and `n` rounded rows.
  void run(const RoundedInputs& rounded, std::size_t n, float* out, bool gated, ThreadPool& pool) const;
  ProductKernel kernel(std::size_t n) const;
  /// Of a rounded row.
  std::size_t row_bytes() const;

  const Rounding rounding_;
  std::vector<Segment> segments_;
  bool paired_;  ///< panels of the gate and of the up matrix take turns
  std::size_t groups_;
  WeightRange range_;
  std::shared_ptr<WeightRange> next_ = std::make_shared<WeightRange>();
};

}  // namespace headwater::kernels::cpu
