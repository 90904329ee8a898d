#include "kernels/cpu/float_product.h"

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dnnl.hpp>
#include <new>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu {
namespace {

using dnnl::memory;

/// Rows of the tile that all kernels must agree with, unless its own do not.
constexpr std::uint32_t kTile = 16;
constexpr std::uint32_t kCandidates[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
/// The row count for which the library chooses the weights' layout; all others use the same.
constexpr memory::dim kLayoutRows = 64;
/// Beyond so many outputs larger tiles gain nothing, and their trial takes long.
constexpr std::uint32_t kManyColumns = 16384;

/// What the library may use on such a processor.
dnnl::cpu_isa highest_isa(CpuKind kind) {
  switch (kind) {
    case CpuKind::plain:
      return dnnl::cpu_isa::sse41;
    case CpuKind::avx2:
      return dnnl::cpu_isa::avx2;
    case CpuKind::avx512:
      return dnnl::cpu_isa::avx512_core;
    case CpuKind::avx512_vnni:
      return dnnl::cpu_isa::avx512_core_vnni;
    case CpuKind::avx512_bf16:
      return dnnl::cpu_isa::avx512_core_bf16;
    case CpuKind::amx:
      break;
  }
  return dnnl::cpu_isa::avx512_core_amx;
}

/// What the library uses. Nothing may ask it for anything before.
dnnl::cpu_isa library_isa() {
  static const dnnl::cpu_isa isa = [] {
    const CpuChoice& choice = cpu_choice();
    if (choice.forced) dnnl::set_max_cpu_isa(highest_isa(choice.kind));
    return dnnl::get_effective_cpu_isa();
  }();
  return isa;
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu = [] {
    (void)library_isa();
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

dnnl::stream& stream() {
  thread_local dnnl::stream queue(engine());
  return queue;
}

memory::data_type input_type() { return has_bf16_products() ? memory::data_type::bf16 : memory::data_type::f32; }
std::size_t input_bytes() { return has_bf16_products() ? 2 : 4; }

/// A matrix as model files lay it out, [rows, cols] of the input type, in pages that are zero until written.
class PlainMatrix {
 public:
  PlainMatrix(std::size_t rows, std::size_t cols) : cols_(cols), bytes_(rows * cols * input_bytes()) {}
  std::byte* row(std::size_t r) { return bytes_.data() + r * cols_ * input_bytes(); }
  std::byte* data() { return bytes_.data(); }

 private:
  std::size_t cols_;
  std::vector<std::byte> bytes_;
};

struct Free {
  void operator()(void* bytes) const { std::free(bytes); }
};

/// Weights in the library's layout. A step reads all of them, so they lie in huge pages where the system has some.
class PackedWeights {
 public:
  PackedWeights() = default;
  explicit PackedWeights(const memory::desc& layout) {
    const std::size_t page = layout.get_size() < kHugePage / 2 ? kPage : kHugePage;  // less would waste most of one
    const std::size_t size = (layout.get_size() + page - 1) / page * page;
    bytes_.reset(std::aligned_alloc(page, size));
    if (bytes_ == nullptr) throw std::bad_alloc();
    if (page == kHugePage) madvise(bytes_.get(), size, MADV_HUGEPAGE);
    view_ = memory(layout, engine(), bytes_.get());
  }
  const memory& view() const { return view_; }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kHugePage = std::size_t{1} << 21U;
  std::unique_ptr<void, Free> bytes_;
  memory view_;
};

/// A row of float32 for each of OpenMP's threads, allocated before they start: an exception in one ends the process.
class OmpRows {
 public:
  explicit OmpRows(std::size_t cols) : cols_(cols), values_(cols * static_cast<std::size_t>(omp_get_max_threads())) {}
  std::span<float> thread() const {
    return {values_.data() + cols_ * static_cast<std::size_t>(omp_get_thread_num()), cols_};
  }

 private:
  std::size_t cols_;
  mutable std::vector<float> values_;
};

void store_input(std::span<const float> values, std::byte* out) {
  if (has_bf16_products()) {
    to_bf16(values.data(), values.size(), reinterpret_cast<std::uint16_t*>(out));
  } else {
    std::memcpy(out, values.data(), values.size_bytes());
  }
}

/// Fills rows with numbers that repeat nowhere, in [-1, 1).
void fill_trial(PlainMatrix& matrix, std::size_t rows, std::size_t cols, std::uint32_t seed) {
  const OmpRows values_of(cols);
#pragma omp parallel for
  for (std::size_t r = 0; r < rows; ++r) {
    const std::span<float> values = values_of.thread();
    auto state = static_cast<std::uint32_t>(r * 2654435761U + seed);
    for (float& value : values) {
      state = state * 1664525U + 1013904223U;
      value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31F;
    }
    store_input(values, matrix.row(r));
  }
}

void expand(std::span<const HostTensor> parts, PlainMatrix& out) {
  std::size_t row0 = 0;
  for (const HostTensor& part : parts) {
    const OmpRows values_of(part.cols);
#pragma omp parallel for
    for (std::size_t r = 0; r < part.rows; ++r) {
      const std::span<float> values = values_of.thread();
      dequantize_row(part, r, values);
      store_input(values, out.row(row0 + r));
    }
    row0 += part.rows;
  }
}

}  // namespace

bool has_bf16_products() {
  const dnnl::cpu_isa isa = library_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

std::uint32_t padded_rows(std::uint32_t rows) { return (rows + kTile - 1) / kTile * kTile; }

class ProductShape {
 public:
  /// `plain`: scratch memory for the trial, [columns, inner].
  ProductShape(std::uint32_t columns, std::uint32_t inner, int threads, PlainMatrix& plain)
      : inner_(inner), columns_(columns) {
    omp_set_num_threads(1);
    const memory::desc any({inner_, columns_}, input_type(), memory::format_tag::any);
    layout_ = describe(kLayoutRows, any).weights_desc();
    const dnnl::matmul tile(describe(kTile, layout_));
    omp_set_num_threads(threads);
    admit(tile, plain);
  }

  PackedWeights pack(PlainMatrix& plain) const {
    memory source({{inner_, columns_}, input_type(), memory::dims{1, inner_}}, engine(), plain.data());
    PackedWeights packed(layout_);
    memory target = packed.view();
    dnnl::reorder(source, target).execute(stream(), source, target);
    stream().wait();
    return packed;
  }

  void multiply(const memory& weights, const std::byte* x, std::uint32_t rows, float* out) const {
    const std::uint32_t room = padded_rows(rows);
    for (std::uint32_t done = 0; done < rows;) {
      const auto& [n, kernel] = pick(rows - done, room - done);
      run(kernel, n, weights, x + std::size_t{done} * inner() * input_bytes(), out + std::size_t{done} * columns());
      done += n;
    }
  }

  std::vector<std::uint32_t> tiles() const {
    std::vector<std::uint32_t> rows;
    for (const auto& kernel : kernels_) rows.push_back(kernel.first);
    return rows;
  }

 private:
  using Kernel = std::pair<std::uint32_t, dnnl::matmul>;  ///< for so many rows

  std::size_t inner() const { return static_cast<std::size_t>(inner_); }
  std::size_t columns() const { return static_cast<std::size_t>(columns_); }

  dnnl::matmul::primitive_desc describe(memory::dim rows, const memory::desc& weights) const {
    const memory::desc source({rows, inner_}, input_type(), memory::format_tag::ab);
    const memory::desc target({rows, columns_}, memory::data_type::f32, memory::format_tag::ab);
    return {dnnl::matmul::desc(source, weights, target), engine()};
  }

  void run(const dnnl::matmul& kernel, memory::dim rows, const memory& weights, const std::byte* x, float* out) const {
    const memory::desc source({rows, inner_}, input_type(), memory::format_tag::ab);
    const memory::desc target({rows, columns_}, memory::data_type::f32, memory::format_tag::ab);
    kernel.execute(stream(), {{DNNL_ARG_SRC, memory(source, engine(), const_cast<std::byte*>(x))},
                              {DNNL_ARG_WEIGHTS, weights},
                              {DNNL_ARG_DST, memory(target, engine(), out)}});
    stream().wait();
  }

  /// Admits the kernels that give every row the same bits.
  void admit(const dnnl::matmul& tile, PlainMatrix& plain) {
    const std::uint32_t most = columns() > kManyColumns ? 64 : std::end(kCandidates)[-1];
    fill_trial(plain, columns(), inner(), 1);
    const PackedWeights weights = pack(plain);
    PlainMatrix x(most, inner());
    const bool in_any_place = gives_rows_alike(tile, weights.view(), x);
    fill_trial(x, most, inner(), 2);
    // Some kernels compute a row differently by its place in the tile: then a row must be computed as if it were alone.
    const std::uint32_t step = in_any_place ? kTile : 1;
    const dnnl::matmul model = in_any_place ? tile : dnnl::matmul(describe(1, layout_));
    std::vector<float> expected(most * columns());
    std::vector<float> got(most * columns());
    for (std::uint32_t r = 0; r < most; r += step) {
      run(model, step, weights.view(), x.row(r), expected.data() + r * columns());
    }
    for (const std::uint32_t rows : kCandidates) {
      if (rows > most) break;
      dnnl::matmul kernel(describe(rows, layout_));
      run(kernel, rows, weights.view(), x.data(), got.data());
      const bool agrees = std::memcmp(got.data(), expected.data(), rows * columns() * sizeof(float)) == 0;
      if (agrees || rows == step) kernels_.emplace_back(rows, agrees ? kernel : model);
    }
  }

  /// Whether the tile's rows come out alike where they go in alike. Overwrites the tile's rows of `x`.
  bool gives_rows_alike(const dnnl::matmul& tile, const memory& weights, PlainMatrix& x) const {
    fill_trial(x, 1, inner(), 2);
    for (std::uint32_t r = 1; r < kTile; ++r) std::memcpy(x.row(r), x.row(0), inner() * input_bytes());
    std::vector<float> out(kTile * columns());
    run(tile, kTile, weights, x.data(), out.data());
    return std::equal(out.begin() + static_cast<std::ptrdiff_t>(columns()), out.end(), out.begin());
  }

  /// The kernel for the next rows of `left`: the smallest that takes them all if it fits into `room` and wastes
  /// little, else the largest that they fill.
  const Kernel& pick(std::uint32_t left, std::uint32_t room) const {
    const auto above = std::ranges::lower_bound(kernels_, left, {}, &Kernel::first);
    if (above == kernels_.begin()) return *above;
    if (above == kernels_.end()) return kernels_.back();
    const bool fits = above->first <= room && (above->first <= kTile || above->first <= left + left / 2);
    return fits ? *above : *std::prev(above);
  }

  memory::dim inner_, columns_;
  memory::desc layout_;
  std::vector<Kernel> kernels_;  ///< ascending
};

struct PackedMatrix::Weights {
  PackedWeights packed;
};

PackedMatrix::PackedMatrix(std::uint32_t rows, std::uint32_t cols, std::shared_ptr<const ProductShape> shape)
    : Matrix(rows, cols), shape_(std::move(shape)), weights_(std::make_unique<Weights>()) {}
PackedMatrix::~PackedMatrix() = default;

void PackedMatrix::multiply(const void* x, std::uint32_t rows, float* out) const {
  shape_->multiply(weights_->packed.view(), static_cast<const std::byte*>(x), rows, out);
}

std::vector<std::uint32_t> PackedMatrix::tiles() const { return shape_->tiles(); }

std::unique_ptr<PackedMatrix> Products::pack(std::span<const HostTensor> parts) {
  std::uint64_t total = 0;
  for (const HostTensor& part : parts) total += part.rows;
  const auto rows = static_cast<std::uint32_t>(total);
  const auto cols = static_cast<std::uint32_t>(parts[0].cols);
  omp_set_num_threads(threads_);
  PlainMatrix plain(rows, cols);
  auto& shape = shapes_[{rows, cols}];
  if (shape == nullptr) shape = std::make_shared<ProductShape>(rows, cols, threads_, plain);
  expand(parts, plain);
  std::unique_ptr<PackedMatrix> matrix(new PackedMatrix(rows, cols, shape));
  matrix->weights_->packed = shape->pack(plain);
  return matrix;
}

}  // namespace headwater::kernels::cpu
