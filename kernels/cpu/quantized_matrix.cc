#include "kernels/cpu/quantized_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/thread_scratch.h"
#include "kernels/weight_group.h"

namespace headwater::kernels::cpu {
namespace {

/// The panels that hold weights of `type` exactly, but for the rounding of scales; nothing: none do.
std::optional<PanelFormat> format_for(DType type) {
  if (block_values(type) == 1) return std::nullopt;
  const GroupFormat format = group_format(type);
  if (!format.one_scale) return std::nullopt;
  if (format.most < 16) return format.has_minimum ? PanelFormat::nibbles : PanelFormat::nibbles_minus_8;
  if (format.has_minimum) return std::nullopt;
  return PanelFormat::bytes_minus_128;
}

/// Row `row` of the stacked parts.
const std::byte* row_at(std::span<const HostTensor> parts, std::uint64_t row) {
  const HostTensor* part = parts.data();
  for (; row >= part->rows; ++part) row -= part->rows;
  return part->data + row * row_bytes(part->type, part->cols);
}

/// Scale and minimum as panels have them: the value of a code is scale · code + minimum.
struct PanelScale {
  float scale, minimum;

  PanelScale(const GroupScale& read, const GroupFormat& format)
      : scale(read.scale[0]), minimum(read.minimum[0] - static_cast<float>(format.zero) * read.scale[0]) {}
};

/// Writes the codes of one group, of `column` of a panel.
void place_codes(PanelFormat format, const std::array<std::uint8_t, kGroup>& group, std::size_t column,
                 std::byte* codes) {
  constexpr std::size_t kHalf = kPanel * kGroup / 2;
  for (std::size_t k = 0; k < kGroup; ++k) {
    const std::size_t place = k / 4 * 4 * kPanel + column * 4 + k % 4;
    const auto code = static_cast<std::byte>(group[k]);
    if (format == PanelFormat::bytes_minus_128) {
      codes[place] = code;
    } else if (place < kHalf) {
      codes[place] |= code;
    } else {
      codes[place - kHalf] |= code << 4;
    }
  }
}

/// What 1 is worth in a row of `groups` groups.
float step_of(DType type, const std::byte* row, std::size_t groups) {
  const GroupFormat format = group_format(type);
  float greatest = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    const PanelScale of_group(read_scale(type, row, g), format);
    for (const std::uint8_t code : {format.least, format.most}) {
      const float end = static_cast<float>(code) * of_group.scale + of_group.minimum;
      if (!(std::abs(end) <= greatest)) greatest = std::abs(end);  // a NaN stays
      if (std::isnan(greatest)) return greatest;
    }
  }
  return greatest / kGreatestWeight;
}

std::int16_t in_steps(float value, float step) {
  // A step of zero is a row of zeros; one that is not finite makes the results NaN by itself.
  return step > 0 && std::isfinite(step) ? static_cast<std::int16_t>(std::nearbyint(value / step)) : std::int16_t{0};
}

void pack_column(DType type, const std::byte* row, std::size_t column, std::size_t groups, std::byte* panel) {
  const PanelFormat format = *format_for(type);
  const GroupFormat codes = group_format(type);
  const PanelView view = view_panel(format, panel, groups);
  const auto place = [&](const void* part) { return panel + (static_cast<const std::byte*>(part) - panel); };
  const float step = step_of(type, row, groups);
  const float sum_step = std::ldexp(step, 8 + sum_shift(groups * kGroup));
  std::memcpy(place(view.steps + column), &sum_step, sizeof sum_step);
  for (std::size_t g = 0; g < groups; ++g) {
    WeightGroup group = read_group(type, row, g);
    PanelScale of_group(group, codes);
    if (format == PanelFormat::nibbles && of_group.scale < 0) {  // from the other end
      for (std::uint8_t& code : group.codes) code = static_cast<std::uint8_t>(15 - code);
      of_group.minimum += 15 * of_group.scale;
      of_group.scale = -of_group.scale;
    }
    if (format == PanelFormat::bytes_minus_128) {
      for (std::uint8_t& code : group.codes) code = static_cast<std::uint8_t>(code + 128 - codes.zero);
    }
    place_codes(format, group.codes, column, panel + g * code_bytes(format));
    const std::int16_t factor = in_steps(of_group.scale, step);
    const std::int16_t* numbers = view.numbers + g * n_numbers(format) + factor_place(format, column);
    std::memcpy(place(numbers), &factor, sizeof factor);
    if (format != PanelFormat::nibbles) continue;
    const std::int16_t offset = in_steps(of_group.minimum + kMiddle * of_group.scale, step);
    std::memcpy(place(numbers + kOffset), &offset, sizeof offset);
  }
}

/// Of the second-level cache, which is 1 or 2 MiB on processors that serve.
constexpr std::size_t kCachedBytes = std::size_t{640} << 10U;

std::size_t divide_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }

/// A few tasks for each thread, so that one that is held up leaves the rest to the others.
std::size_t tasks_of(std::size_t n_panels, std::size_t threads) { return std::min(n_panels, 4 * threads); }

}  // namespace

void read_codes(DType type, const std::byte* panels, std::uint64_t row, std::size_t group, std::size_t groups,
                std::byte* block) {
  constexpr std::size_t kHalf = kPanel * kGroup / 2;
  const PanelFormat format = *format_for(type);
  const std::byte* codes = panels + row / kPanel * panel_bytes(format, groups) + group * code_bytes(format);
  const std::size_t column = row % kPanel;
  const bool flip = format == PanelFormat::nibbles && read_scale(type, block, 0).scale[0] < 0;
  std::byte* nibbles = block + (type == DType::q4_1 ? 4 : 2);
  for (std::size_t k = 0; k < kGroup; ++k) {
    const std::size_t place = k / 4 * 4 * kPanel + column * 4 + k % 4;
    if (type == DType::q8_0) {
      block[2 + k] = codes[place] ^ std::byte{0x80};
      continue;
    }
    std::byte code = place < kHalf ? codes[place] & std::byte{15} : codes[place - kHalf] >> 4;
    if (flip) code = std::byte{15} ^ code;  // 15 - code
    if (k < kGroup / 2) {
      nibbles[k] = code;
    } else {
      nibbles[k - kGroup / 2] |= code << 4;
    }
  }
}

WeightStream::Range WeightRange::part(std::size_t first, std::size_t end) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(panels.get());
  return {begin + first * panel_bytes, begin + end * panel_bytes};
}

WeightStream::Range WeightRange::share(const ThreadPool& pool, std::size_t thread) const {
  const std::size_t tasks = tasks_of(n_panels, pool.size());
  if (tasks == 0) return {};
  return part(n_panels * pool.share_begin(tasks, thread) / tasks,
              n_panels * pool.share_begin(tasks, thread + 1) / tasks);
}

const ProductKernels& product_kernels() {
  static const ProductKernels kernels = [] {
    const CpuFeatures& cpu = cpu_features();
    const ProductKernel few = cpu.avx512_vnni ? product_vnni : cpu.avx2 ? product_avx2 : product_reference;
    constexpr std::size_t kAmxPays = 4;
    return cpu.amx ? ProductKernels{few, cpu.avx512_vnni, product_amx, kAmxPays}
                   : ProductKernels{few, cpu.avx512_vnni, nullptr, SIZE_MAX};
  }();
  return kernels;
}

bool QuantizedMatrix::takes(std::span<const HostTensor> parts) {
  return format_for(parts[0].type) && parts[0].cols <= kGreatestK &&
         std::ranges::all_of(parts, [&](const HostTensor& part) { return part.type == parts[0].type; });
}

bool QuantizedMatrix::restores(DType type) { return type == DType::q4_0 || type == DType::q4_1 || type == DType::q8_0; }

std::uint64_t QuantizedMatrix::bytes_of(const HostTensor& tensor) {
  return divide_up(tensor.rows, kPanel) * panel_bytes(*format_for(tensor.type), tensor.cols / kGroup);
}

QuantizedMatrix::QuantizedMatrix(std::span<const HostTensor> parts, Use use, WeightMemory& weights, ThreadPool& pool)
    : Matrix(0, static_cast<std::uint32_t>(parts[0].cols)),
      format_(*format_for(parts[0].type)),
      groups_(parts[0].cols / kGroup) {
  for (const HostTensor& part : parts) rows_ += static_cast<std::uint32_t>(part.rows);
  paired_ = use == Use::gated && rows_ % (2 * kPanel) == 0;
  const std::size_t bytes = panel_bytes(format_, groups_);
  const std::size_t n_panels = divide_up(rows_, kPanel);
  const std::shared_ptr<std::byte> panels = weights.take(n_panels * bytes);
  pool.run(n_panels, [&](std::size_t panel) {
    std::byte* memory = panels.get() + panel * bytes;
    std::memset(memory, 0, bytes);
    for (std::size_t column = 0; column < kPanel; ++column) {
      const std::size_t row = row_of(panel, column);
      if (row < rows_) pack_column(parts[0].type, row_at(parts, row), column, groups_, memory);
    }
  });
  const std::size_t together = paired_ ? 2 : 1;
  range_ = {panels, n_panels / together, together * bytes};
}

std::size_t QuantizedMatrix::row_of(std::size_t panel, std::size_t column) const {
  if (!paired_) return panel * kPanel + column;
  return panel % 2 * (rows_ / 2) + panel / 2 * kPanel + column;
}

ProductTask QuantizedMatrix::task(const Activations& x, float* out) const {
  ProductTask whole;
  whole.format = format_;
  whole.panels = range_.panels.get();
  whole.columns = paired_ ? rows_ / 2 : rows_;
  whole.end_panel = range_.n_panels;
  whole.x = &x.rows();
  whole.end_row = x.rows().rows;
  whole.out = out;
  whole.gated = paired_;
  return whole;
}

void QuantizedMatrix::quantize(const float* x, std::size_t n, Activations& rounded, ThreadPool& pool) const {
  rounded.resize(n, groups_, n >= product_kernels().min_rows);
  pool.run_rows(n, [&](std::size_t first, std::size_t end) {
    for (std::size_t r = first; r < end; ++r) quantize_row(x + r * cols_, rounded.rows(), r);
  });
}

void QuantizedMatrix::run(const ProductTask& whole, ThreadPool& pool) const {
  const std::size_t n = whole.end_row;
  const ProductKernels& kernels = product_kernels();
  const ProductKernel kernel = n >= kernels.min_rows ? kernels.many_rows : kernels.few_rows;
  const std::size_t threads = pool.size();
  // Many rows: each thread its own, which it has rounded itself, in blocks that stay in its cache while all panels of a
  // task go by. Few rows: each thread its own panels. In between it depends on the weights: either each thread expands
  // all of them, or each reads all rows.
  const std::size_t many_rows = range_.n_panels * range_.panel_bytes > (std::size_t{1} << 20U) ? 128 : 64;
  std::size_t row_blocks = divide_up(n * whole.x->steps * 2 * kStep, kCachedBytes);
  std::size_t panel_blocks = tasks_of(whole.end_panel, divide_up(threads, row_blocks));
  if (n >= many_rows * threads) {
    row_blocks = divide_up(row_blocks, threads) * threads;
    panel_blocks = tasks_of(whole.end_panel, 1);
  }
  const std::size_t block_rows = divide_up(divide_up(n, row_blocks), kTileRows) * kTileRows;
  const std::size_t n_tasks = row_blocks * panel_blocks;
  pool.run(n_tasks, [&](std::size_t task) {
    ProductTask part = whole;
    part.first_row = std::min(n, task / panel_blocks * block_rows);
    part.end_row = std::min(n, part.first_row + block_rows);
    part.first_panel = whole.end_panel * (task % panel_blocks) / panel_blocks;
    part.end_panel = whole.end_panel * (task % panel_blocks + 1) / panel_blocks;
    part.scratch = thread_scratch(scratch_bytes(block_rows));
    // A thread has a stream of its own shares. What it does for another one, or with all panels, is no part of that.
    const std::size_t thread = ThreadPool::this_thread();
    const bool own =
        row_blocks == 1 && task >= pool.share_begin(n_tasks, thread) && task < pool.share_begin(n_tasks, thread + 1);
    WeightStream others;
    part.weights = own ? &thread_weights() : &others;
    if (!own) {
      others.enter(range_.part(part.first_panel, range_.n_panels), {});
    } else if (task == pool.share_begin(n_tasks, thread)) {
      thread_weights().enter(range_.share(pool, thread), next_->share(pool, thread));
    }
    if (part.first_row < part.end_row) kernel(part);
  });
}

void QuantizedMatrix::multiply(const float* x, std::size_t n, float* out, Activations& rounded,
                               ThreadPool& pool) const {
  quantize(x, n, rounded, pool);
  run(task(rounded, out), pool);
}

void QuantizedMatrix::multiply_gated(const float* x, std::size_t n, float* out, Activations& rounded,
                                     ThreadPool& pool) const {
  const ProductKernels& kernels = product_kernels();
  if (paired_ && (n >= kernels.min_rows || kernels.few_gate)) return multiply(x, n, out, rounded, pool);
  thread_local std::vector<float> gate_up;
  if (gate_up.size() < n * rows_) gate_up.resize(n * rows_);
  quantize(x, n, rounded, pool);
  ProductTask both = task(rounded, gate_up.data());
  both.gated = false;
  both.columns = rows_;
  both.end_panel = divide_up(rows_, kPanel);
  run(both, pool);
  const std::size_t dim = rows_ / 2;
  const std::size_t together = paired_ ? kPanel : dim;  // columns of the gate that stand before as many of the other
  const float* from = gate_up.data();                   // of this thread; the others have a vector of their own
  pool.run_rows(n, [&](std::size_t first, std::size_t end) {
    for (std::size_t column = 0; column < dim; column += together) {
      for (std::size_t r = first; r < end; ++r) {
        silu_mul(from + r * rows_ + 2 * column, 1, together, out + r * dim + column, dim);
      }
    }
  });
}

}  // namespace headwater::kernels::cpu
