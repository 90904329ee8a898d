#pragma once
// Products of activations with weights that stay quantised as the model file has them, in whole numbers.
//
// A weight of a model file is scale · q + minimum for its group of 32 along K. Scales and minimums become multiples of
// one step for the column, so that every weight of it is step · W, W = factor · (q - middle) + offset, a whole number
// of 16 bits; the step is the column's greatest weight / 31,000, so this moves a 4-bit weight by less than 1/6,800 of
// that, one of 5 or 6 bits by less than 1/1,900 and one of 8 bits by less than 1/480. A row of activations becomes
// step · a, a = 256 · high + low of 16 bits. A result is then
//     step_w · step_x · Σ a · W
// and the sum is exact, whatever its order; so much of it as matters becomes a float. So every kernel here gives the
// same bits: one row or many, any split of the work, any instruction set.
//
// Of weights of 4 bits the low byte of an activation meets only a coarse one, a multiple of 256, which is the same
// formula with factor and offset rounded to that: low · 256 · (coarse factor · (q - middle) + coarse offset). It is off
// by some hundredth of the column's greatest weight, and counts for 1/256 of the sum; and it saves AMX a quarter of its
// products, which are what bounds prompts.
//
// Of weights of 6 or 8 bits, W has no coarse form: a · W is summed as it is. The bounds, for any of their formats:
//  - |W| <= 31,000 + half of the greatest |q - middle| + 1/2 <= 31,065, as a factor is off by half a step for each of
//    q - middle and an offset by half a step. So W has 16 bits and its high byte, [-122, 121], is a signed byte;
//  - Σ a · (q - middle) of 32 values is at most 32 · 32,512 · 128 < 2^27, and as bytes, with q not yet reduced,
//    Σ high · q <= 32 · 127 · 255 < 2^20, times 256 < 2^28; so 32 bits hold the dot of a group or of a part of it;
//  - a whole row is at most K · 32,512 · 31,065 <= 2^44.9, so doubles sum factors times dots exactly;
//  - on AMX, Σ (high · low byte of W + low · high byte of W) <= K · (127 · 255 + 128 · 122) <= 2^30.6.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/weight_stream.h"

// Files for different instruction sets include this: what is inline here must be inlined, or one set's copy of a
// function would be linked into code for machines that lack it.

namespace headwater::kernels::cpu {

/// Values of K that share a factor and an offset.
inline constexpr std::size_t kGroup = 32;
/// Groups whose sum has 32 bits: with weights of 4 bits each gives at most 32 · (127 · 31,005 + 128 · 126), and bytes
/// times others at most 32 · 128 · 31,065.
inline constexpr std::size_t kGroupsOf32Bits = 16;
/// Values of K that an AMX tile takes: two groups.
inline constexpr std::size_t kStep = 64;
/// Columns of the result (rows of the weight matrix) that are computed together.
inline constexpr std::size_t kPanel = 16;
/// Rows of an AMX tile.
inline constexpr std::size_t kTileRows = 16;
/// The greatest whole numbers of an activation and, but for rounding, of a weight. The low byte of an activation is
/// signed. A weight leaves room for a coarse one to be rounded and still be a signed byte.
inline constexpr int kGreatestActivation = 32512;
inline constexpr int kGreatestWeight = 31000;
/// The code of 4 bits that is taken for the middle: with it, 32 products with a byte have a sum of 16 bits.
inline constexpr int kMiddle = 7;
/// factor or offset -> coarse factor or offset.
[[gnu::always_inline]] constexpr int coarse(int number) { return (number + 128) >> 8; }
/// Beyond this K the partial sums of a tile could overflow.
inline constexpr std::size_t kGreatestK = 32768;
/// A sum over `k` values is taken down to a multiple of 256 · 2^sum_shift(k), so that what is left has 32 bits, and
/// then rounded to a float. 2 … 6.
[[gnu::always_inline]] constexpr int sum_shift(std::size_t k) {
  int shift = 2;
  while ((std::size_t{512} << shift) < k) ++shift;
  return shift;
}

/// How a panel of weights is stored: the codes q of all groups, the numbers of all groups (16 bits: factors and, where
/// they are stored, offsets), what 256 · 2^sum_shift is worth in each column (16 floats).
enum class PanelFormat : std::uint8_t {
  nibbles,          ///< q of 4 bits, W = factor · (q - 7) + offset; no factor is negative
  nibbles_minus_8,  ///< q of 4 bits, W = factor · (q - 7) - factor
  bytes_minus_128,  ///< q of 8 bits, W = factor · (q - 128)
  // For 5 and 6 bits. With as many numbers as a type needs, not with the three that would make one format of these: 7
  // bits a weight, not 7.5; and without the bits that codes of 8 bits would leave empty, as few rows wait for memory.
  sixes_minus_32,     ///< q of 6 bits, W = factor · (q - 32)
  sixes_and_offset,   ///< q of 6 bits, W = factor · (q - 32) + offset
  sixes_two_factors,  ///< q of 6 bits, W = factor · (q - 32), with a factor for the first and one for the last 16
};
[[gnu::always_inline]] constexpr bool has_nibbles(PanelFormat format) {
  return format == PanelFormat::nibbles || format == PanelFormat::nibbles_minus_8;
}
[[gnu::always_inline]] constexpr bool has_sixes(PanelFormat format) {
  return !has_nibbles(format) && format != PanelFormat::bytes_minus_128;
}
/// The code for which W is the offset, or 0 where there is none (but of nibbles_minus_8).
[[gnu::always_inline]] constexpr int middle(PanelFormat format) {
  return has_nibbles(format) ? kMiddle : has_sixes(format) ? 32 : 128;
}
/// Whether a column has two numbers in each group: its factor, and its offset or second factor.
[[gnu::always_inline]] constexpr bool has_two_numbers(PanelFormat format) {
  return format == PanelFormat::nibbles || format == PanelFormat::sixes_and_offset ||
         format == PanelFormat::sixes_two_factors;
}

/// Codes of a group in a panel: bytes [8 quads of K][16 columns][4 values of K]. As nibbles, the first four quads in
/// the low and the last four in the high halves. As sixes, of each four quads the first three in bytes likewise, of
/// which the upper two bits hold the fourth: its upper, its middle, and its lower two bits.
[[gnu::always_inline]] constexpr std::size_t code_bytes(PanelFormat format) {
  return kPanel * kGroup / 8 * (has_nibbles(format) ? 4 : has_sixes(format) ? 6 : 8);
}
/// Numbers of a group in a panel: the factors of the columns and then, if there are any, their second numbers. Nibbles
/// have four factors and their four offsets in turn, so that a vector's halves of 128 bits hold both of the same
/// columns.
[[gnu::always_inline]] constexpr std::size_t n_numbers(PanelFormat format) {
  return (has_two_numbers(format) ? 2 : 1) * kPanel;
}
/// Where a column's factor is among a group's numbers.
[[gnu::always_inline]] constexpr std::size_t factor_place(PanelFormat format, std::size_t column) {
  return format == PanelFormat::nibbles ? column / 4 * 8 + column % 4 : column;
}
/// How much further its second number is. REQUIRES: has_two_numbers(format).
[[gnu::always_inline]] constexpr std::size_t to_second(PanelFormat format) {
  return format == PanelFormat::nibbles ? 4 : kPanel;
}
[[gnu::always_inline]] constexpr std::size_t panel_bytes(PanelFormat format, std::size_t groups) {
  const std::size_t numbers = n_numbers(format) * sizeof(std::int16_t);
  return (groups * (code_bytes(format) + numbers) + 63) / 64 * 64 + kPanel * sizeof(float);
}

/// Cache lines of a group, rounded up: some formats end half-way in one.
template <PanelFormat kFormat>
constexpr int kLines = static_cast<int>((code_bytes(kFormat) + n_numbers(kFormat) * sizeof(std::int16_t) + 63) / 64);

/// Where the parts of a panel lie.
struct PanelView {
  const std::byte* codes;
  const std::int16_t* numbers;
  const float* steps;
};
[[gnu::always_inline]] inline PanelView view_panel(PanelFormat format, const std::byte* panel, std::size_t groups) {
  return {panel, reinterpret_cast<const std::int16_t*>(panel + groups * code_bytes(format)),
          reinterpret_cast<const float*>(panel + panel_bytes(format, groups)) - kPanel};
}

/// The sums of the high and of the low bytes of a row's activations in a group, those times -kMiddle (what the dot with
/// codes of 4 bits begins with), and the sums of its first 16.
struct GroupSums {
  std::int32_t high_start, low_start;
  std::int16_t high, low;
  std::int16_t first_high, first_low;

  /// Of the bytes of the first 16 and of the last 16.
  [[gnu::always_inline]] static GroupSums of(int first_high, int first_low, int last_high, int last_low) {
    const int high = first_high + last_high;
    const int low = first_low + last_low;
    return {-kMiddle * high,
            -kMiddle * low,
            static_cast<std::int16_t>(high),
            static_cast<std::int16_t>(low),
            static_cast<std::int16_t>(first_high),
            static_cast<std::int16_t>(first_low)};
  }
  /// The sum of the activations, and of the first 16.
  [[gnu::always_inline]] int all() const { return 256 * high + low; }
  [[gnu::always_inline]] int first() const { return 256 * first_high + first_low; }
  /// `high` in the lower 16 bits, `low` in the upper.
  [[gnu::always_inline]] int both() const {
    int numbers;
    __builtin_memcpy(&numbers, &high, sizeof numbers);
    return numbers;
  }
};

/// Rounded activations, as the kernels read them. Each is 256 · high + low, two signed bytes.
struct QuantizedRows {
  std::size_t rows = 0;
  std::size_t groups = 0;
  std::size_t steps = 0;  ///< of 64 values: ceil(groups / 2); what is beyond the groups is zero
  /// The high bytes of a row and step, [64]; the low ones are `low` bytes further on.
  std::int8_t* codes = nullptr;
  std::size_t low = 0, step_stride = 0, row_stride = 0, tile_stride = 0;  ///< bytes; a tile is 16 rows
  float* scales = nullptr;    ///< [rows]: the step of each; NaN if the row has a NaN or an infinity
  GroupSums* sums = nullptr;  ///< [rows, groups]; not for kernels that need none

  [[gnu::always_inline]] std::int8_t* at(std::size_t row, std::size_t step) const {
    return codes + row / kTileRows * tile_stride + row % kTileRows * row_stride + step * step_stride;
  }
};

struct GroupedRows;

/// Some rows and columns of a product with panels of one format.
struct ProductTask {
  PanelFormat format = PanelFormat::nibbles;
  const std::byte* panels = nullptr;  ///< all that are of this format side by side, 64-byte aligned
  std::size_t columns = 0;            ///< of all of these
  std::size_t first_panel = 0, end_panel = 0;
  const QuantizedRows* x = nullptr;
  const GroupedRows* grouped = nullptr;    ///< the rows instead, for the kernels of grouped_product.h
  std::size_t first_row = 0, end_row = 0;  ///< first_row begins a tile or block
  float* out = nullptr;                    ///< [x.rows, columns], where the first column of `panels` stands
  std::size_t out_stride = 0;              ///< floats from one row of `out` to the next
  /// [scratch_bytes(end_row - first_row)], of grouped rows and opened_bytes(their groups); 64-byte aligned, of this
  /// task alone.
  std::byte* scratch = nullptr;
  /// Panels are pairs, a gate's and an up's (first_panel and end_panel count pairs), and the result is
  /// silu(x · gateᵀ) * (x · upᵀ). The references do not do it.
  bool gated = false;
  WeightStream* weights = nullptr;  ///< where the thread is, for those that ask ahead
};

/// Scratch begins with the weights of some steps of a panel in three bytes each; then come three sums of each tile of
/// 16 rows, and last, for gated products, the gate of all rows: [rows][16].
inline constexpr std::size_t kExpandedSteps = 9;
inline constexpr std::size_t kExpandedBytes = kExpandedSteps * kStep * kPanel * 3;
[[gnu::always_inline]] constexpr std::size_t gate_place(std::size_t rows) {
  return kExpandedBytes +
         (rows + 2 * kTileRows - 1) / (2 * kTileRows) * 2 * 3 * kTileRows * kPanel * sizeof(std::int32_t);
}
[[gnu::always_inline]] constexpr std::size_t scratch_bytes(std::size_t rows) {
  return gate_place(rows) + rows * kPanel * sizeof(float);
}

template <PanelFormat kFormat>
struct FormatConstant {
  static constexpr PanelFormat value = kFormat;
};
/// Calls work with the format as a constant: work(format), of which format.value is a PanelFormat.
template <class Work>
[[gnu::always_inline]] inline void with_format(PanelFormat format, const Work& work) {
  switch (format) {
    case PanelFormat::nibbles:
      return work(FormatConstant<PanelFormat::nibbles>());
    case PanelFormat::nibbles_minus_8:
      return work(FormatConstant<PanelFormat::nibbles_minus_8>());
    case PanelFormat::bytes_minus_128:
      return work(FormatConstant<PanelFormat::bytes_minus_128>());
    case PanelFormat::sixes_minus_32:
      return work(FormatConstant<PanelFormat::sixes_minus_32>());
    case PanelFormat::sixes_and_offset:
      return work(FormatConstant<PanelFormat::sixes_and_offset>());
    case PanelFormat::sixes_two_factors:
      return work(FormatConstant<PanelFormat::sixes_two_factors>());
  }
}

/// Where the results of one panel go, for the rows of a task.
struct PanelResults {
  float* out;             ///< of the first row
  std::size_t stride;     ///< floats from one row to the next
  std::uint16_t columns;  ///< which there are, a bit each
  const float* gate;      ///< [rows][16], or null: results are silu(gate) times the products
};
/// Calls multiply(panel, results) for the panels of a task, in the order in which they lie in memory.
template <class Multiply>
[[gnu::always_inline]] inline void for_each_panel(const ProductTask& task, const Multiply& multiply) {
  auto* const gate = reinterpret_cast<float*>(task.scratch + gate_place(task.end_row - task.first_row));
  for (std::size_t index = task.first_panel; index < task.end_panel; ++index) {
    const std::size_t column = index * kPanel;
    const std::size_t left = task.columns - column;
    const auto columns = static_cast<std::uint16_t>(left >= kPanel ? 0xFFFF : (1U << left) - 1);
    float* const out = task.out + task.first_row * task.out_stride + column;
    if (task.gated) {
      multiply(2 * index, PanelResults{gate, kPanel, columns, nullptr});
      multiply(2 * index + 1, PanelResults{out, task.out_stride, columns, gate});
    } else {
      multiply(index, PanelResults{out, task.out_stride, columns, nullptr});
    }
  }
}

using ProductKernel = void (*)(const ProductTask& task);

// Each needs the instruction set in its name.
void product_reference(const ProductTask& task);
void product_avx2(const ProductTask& task);
void product_vnni(const ProductTask& task);
/// Needs no sums, but rows in tiles: row_stride 64, memory up to whole tiles.
void product_amx(const ProductTask& task);

}  // namespace headwater::kernels::cpu
