#include "kernels/cpu/quantized_matrix.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/panel_packing.h"
#include "kernels/cpu/thread_scratch.h"

namespace headwater::kernels::cpu {
namespace {

/// Of row `row` of the stacked parts: its type, and where it begins.
struct Row {
  DType type;
  const std::byte* data;
};
Row row_at(std::span<const HostTensor> parts, std::uint64_t row) {
  const HostTensor* part = parts.data();
  for (; row >= part->rows; ++part) row -= part->rows;
  return {part->type, part->data + row * row_bytes(part->type, part->cols)};
}

/// Of the second-level cache, which is 1 or 2 MiB on processors that serve.
constexpr std::size_t kCachedBytes = std::size_t{640} << 10U;

std::size_t divide_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }

/// Tasks that a product of `rows` rows with a matrix is cut into. A few for each thread, so that one that is held up
/// leaves the rest to the others; and more where there is more to do, since at the end all wait for the last task of
/// the slowest.
std::size_t tasks_of(const WeightRange& range, std::size_t rows, std::size_t threads) {
  constexpr std::size_t kTaskBytes = std::size_t{128} << 10U;  // takes so long that nobody sees what a task costs
  constexpr std::size_t kFewRows = 8;                          // take as long as one: they wait for the weights
  const std::size_t most = (rows <= kFewRows ? 16 : 64) * threads;
  const std::size_t worth = range.bytes() * std::max(rows, kFewRows) / kFewRows / kTaskBytes;
  // As many for each thread: then its share is the same part of the weights for any number of rows.
  return std::min(range.n_panels / range.together, std::clamp(worth, 4 * threads, most) / threads * threads);
}

}  // namespace

std::size_t WeightRange::place(std::size_t panel) const {
  std::size_t bytes = 0;
  for (const Run& run : runs) {
    const std::size_t n = std::min(panel, run.n_panels);
    bytes += n * run.panel_bytes;
    panel -= n;
  }
  return bytes;
}

WeightStream::Range WeightRange::part(std::size_t first, std::size_t end) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(panels.get());
  return {begin + place(first), begin + place(end)};
}

WeightStream::Range WeightRange::share(const ThreadPool& pool, std::size_t thread) const {
  const std::size_t n = n_panels / together;
  const std::size_t tasks = tasks_of(*this, 1, pool.size());
  if (tasks == 0) return {};
  return part(n * pool.share_begin(tasks, thread) / tasks * together,
              n * pool.share_begin(tasks, thread + 1) / tasks * together);
}

std::string QuantizedMatrix::obstacle(std::span<const HostTensor> parts) {
  if (parts[0].cols > kGreatestK) {
    return "it has " + std::to_string(parts[0].cols) + " columns, more than " + std::to_string(kGreatestK);
  }
  for (const HostTensor& part : parts) {
    if (!panel_format(part.type)) return "weights in " + std::string(name(part.type)) + " are part of it";
  }
  return "";
}

std::uint64_t QuantizedMatrix::bytes_of(const HostTensor& tensor) {
  return divide_up(tensor.rows, kPanel) * panel_bytes(*panel_format(tensor.type), tensor.cols / kGroup);
}

QuantizedMatrix::QuantizedMatrix(std::span<const HostTensor> parts, Use use, WeightMemory& weights, ThreadPool& pool,
                                 Rounding rounding)
    : Matrix(0, static_cast<std::uint32_t>(parts[0].cols)), rounding_(rounding), groups_(parts[0].cols / kGroup) {
  add_segments(parts);
  paired_ = use == Use::gated && segments_.size() == 1 && rows_ % (2 * kPanel) == 0;
  for (const Segment& segment : segments_) {
    range_.runs.push_back({divide_up(segment.rows, kPanel), panel_bytes(segment.format, groups_)});
    range_.n_panels += range_.runs.back().n_panels;
  }
  if (paired_) range_.together = 2;
  const std::shared_ptr<std::byte> panels = weights.take(range_.bytes());
  for (const Segment& segment : segments_) pack(parts, segment, panels.get() + range_.place(segment.first_panel), pool);
  range_.panels = panels;
}

void QuantizedMatrix::add_segments(std::span<const HostTensor> parts) {
  for (const HostTensor& part : parts) {
    const PanelFormat format = *panel_format(part.type);
    if (segments_.empty()) {
      segments_.push_back({format, 0, 0, 0});
    } else if (const Segment& last = segments_.back(); last.format != format) {
      segments_.push_back({format, rows_, 0, last.first_panel + divide_up(last.rows, kPanel)});
    }
    segments_.back().rows += part.rows;
    rows_ += static_cast<std::uint32_t>(part.rows);
  }
}

void QuantizedMatrix::pack(std::span<const HostTensor> parts, const Segment& segment, std::byte* panels,
                           ThreadPool& pool) const {
  const std::size_t bytes = panel_bytes(segment.format, groups_);
  pool.run(divide_up(segment.rows, kPanel), [&](std::size_t panel) {
    std::byte* memory = panels + panel * bytes;
    std::memset(memory, 0, bytes);
    for (std::size_t column = 0; column < kPanel; ++column) {
      const std::size_t at = (paired_ ? panel % 2 * (segment.rows / 2) + panel / 2 * kPanel : panel * kPanel) + column;
      if (at >= segment.rows) break;
      const Row row = row_at(parts, segment.first_row + at);
      pack_column(row.type, row.data, column, groups_, memory);
    }
  });
}

ProductTask QuantizedMatrix::task(std::size_t segment, float* out, bool gated) const {
  const Segment& of = segments_[segment];
  const std::size_t together = gated ? 2 : 1;
  ProductTask whole;
  whole.format = of.format;
  whole.panels = range_.panels.get() + range_.place(of.first_panel);
  whole.columns = of.rows / together;
  whole.end_panel = divide_up(of.rows, kPanel) / together;
  whole.out = out + of.first_row;
  whole.out_stride = rows_ / together;
  whole.gated = gated;
  return whole;
}

void QuantizedMatrix::quantize(const float* x, std::size_t n, RoundedInputs& rounded, ThreadPool& pool) const {
  const auto some = [&](const auto& round, const auto& into) {
    return [&, round](std::size_t first, std::size_t end) {
      for (std::size_t r = first; r < end; ++r) round(x + r * cols_, into, r);
    };
  };
  if (rounding_ == Rounding::rows) {
    rounded.rows.resize(n, groups_, n >= kernel_table().min_rows);
    return pool.run_rows(n, some(kernel_table().round_row.run, rounded.rows.rows()));
  }
  rounded.groups.resize(n, groups_);
  const GroupedRows& rows = rounded.groups.rows();
  const auto round = some(kernel_table().round_grouped_row.run, rows);
  if (rows.blocks() == 1) return pool.run_rows(n, round);
  pool.run(rows.blocks(), [&](std::size_t block) {
    round(block * rows.height, std::min(n, (block + 1) * rows.height));
    list_wide_groups(rows, block);
  });
}

ProductKernel QuantizedMatrix::kernel(std::size_t n) const {
  const KernelTable& kernels = kernel_table();
  if (rounding_ == Rounding::groups) return kernels.grouped.run;
  return n >= kernels.min_rows ? kernels.many_rows.run : kernels.few_rows.run;
}

std::size_t QuantizedMatrix::row_bytes() const {
  if (rounding_ == Rounding::groups) return groups_ * (kGroup + sizeof(GroupTerms));  // rests are seldom read
  return divide_up(groups_ * kGroup, kStep) * kStep * 2;
}

void QuantizedMatrix::run(const RoundedInputs& rounded, std::size_t n, float* out, bool gated, ThreadPool& pool) const {
  const ProductKernel multiply = kernel(n);
  const std::size_t threads = pool.size();
  const std::size_t together = gated ? 2 : 1;
  const std::size_t n_panels = range_.n_panels / together;  // or pairs
  // Many rows: each thread its own, which it has rounded itself, in blocks that stay in its cache while all panels of a
  // task go by. Few rows: each thread its own panels. In between it depends on the weights: either each thread expands
  // all of them, or each reads all rows.
  const std::size_t many_rows = range_.bytes() > (std::size_t{1} << 20U) ? 128 : 64;
  std::size_t row_blocks = divide_up(n * row_bytes(), kCachedBytes);
  std::size_t panel_blocks = tasks_of(range_, n, divide_up(threads, row_blocks));
  if (n >= many_rows * threads) {
    row_blocks = divide_up(row_blocks, threads) * threads;
    panel_blocks = tasks_of(range_, n / row_blocks, 1);
  }
  const std::size_t together_rows = rounding_ == Rounding::groups ? kBlockRows : kTileRows;
  const std::size_t block_rows = divide_up(divide_up(n, row_blocks), together_rows) * together_rows;
  const std::size_t n_tasks = row_blocks * panel_blocks;
  pool.run(n_tasks, [&](std::size_t index) {
    const std::size_t first_row = std::min(n, index / panel_blocks * block_rows);
    const std::size_t end_row = std::min(n, first_row + block_rows);
    const std::size_t first_panel = n_panels * (index % panel_blocks) / panel_blocks;
    const std::size_t end_panel = n_panels * (index % panel_blocks + 1) / panel_blocks;
    // A thread has a stream of its own shares. What it does for another one, or with all panels, is no part of that.
    const std::size_t thread = ThreadPool::this_thread();
    const bool own =
        row_blocks == 1 && index >= pool.share_begin(n_tasks, thread) && index < pool.share_begin(n_tasks, thread + 1);
    WeightStream others;
    if (!own) {
      others.enter(range_.part(first_panel * together, range_.n_panels), {});
    } else if (index == pool.share_begin(n_tasks, thread)) {
      thread_weights().enter(range_.share(pool, thread), next_->share(pool, thread));
    }
    if (first_row == end_row) return;
    for (std::size_t segment = 0; segment < segments_.size(); ++segment) {
      ProductTask part = task(segment, out, gated);
      part.x = &rounded.rows.rows();
      part.grouped = &rounded.groups.rows();
      const std::size_t before = segments_[segment].first_panel / together;
      part.first_panel = std::max(first_panel, before) - before;
      part.end_panel = std::min(std::max(end_panel, before) - before, part.end_panel);
      if (part.first_panel >= part.end_panel) continue;
      part.first_row = first_row;
      part.end_row = end_row;
      part.scratch = thread_scratch(scratch_bytes(block_rows) + opened_bytes(groups_));
      part.weights = own ? &thread_weights() : &others;
      multiply(part);
    }
  });
}

void QuantizedMatrix::multiply(const float* x, std::size_t n, float* out, RoundedInputs& rounded,
                               ThreadPool& pool) const {
  quantize(x, n, rounded, pool);
  run(rounded, n, out, false, pool);
}

void QuantizedMatrix::multiply_gated(const float* x, std::size_t n, Activation activation, float* out,
                                     RoundedInputs& rounded, ThreadPool& pool) const {
  const KernelTable& kernels = kernel_table();
  const bool silu = activation == Activation::silu;
  quantize(x, n, rounded, pool);
  const bool in_registers = kernels.few_gate || (rounding_ == Rounding::rows && n >= kernels.min_rows);
  if (silu && paired_ && in_registers) return run(rounded, n, out, true, pool);
  thread_local std::vector<float> gate_up;
  if (gate_up.size() < n * rows_) gate_up.resize(n * rows_);
  run(rounded, n, gate_up.data(), false, pool);
  const std::size_t dim = rows_ / 2;
  const std::size_t together = paired_ ? kPanel : dim;  // columns of the gate that stand before as many of the other
  const float* from = gate_up.data();                   // of this thread; the others have a vector of their own
  pool.run_rows(n, [&](std::size_t first, std::size_t end) {
    for (std::size_t column = 0; column < dim; column += together) {
      for (std::size_t r = first; r < end; ++r) {
        (silu ? silu_mul : gelu_mul)(from + r * rows_ + 2 * column, 1, together, out + r * dim + column, dim);
      }
    }
  });
}

}  // namespace headwater::kernels::cpu
