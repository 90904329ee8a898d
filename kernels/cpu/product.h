#pragma once
// Products of activations with weights that stay quantised as the model file has them.
//
// A weight is scale · q + minimum for its group of 32 along K, q of 4 or 8 bits, unsigned. Activations are rounded to
// 12 bits for each row and group (see quantize_rows), as 16 · high + low. A group's share of a result is then
//     Σ w·x  =  (scale_w · Σ q·a) · scale_x  +  minimum · (scale_x · Σ a),
// whose sums of whole numbers are exact, and whose four float operations have one order. So every kernel here gives
// the same bits: for one row or many, with any instruction set.

#include <cstddef>
#include <cstdint>

// Files for different instruction sets include this: what is inline here must be inlined, or one set's copy of a
// function would be linked into code for machines that lack it.

namespace headwater::kernels::cpu {

/// Values of K that share a scale.
inline constexpr std::size_t kGroup = 32;
/// Columns of the result (rows of the weight matrix) that are computed together.
inline constexpr std::size_t kPanel = 16;
/// Rows whose scales lie side by side.
inline constexpr std::size_t kTileRows = 16;
/// The greatest absolute value of a 12-bit activation.
inline constexpr int kGreatestCode = 2047;

/// How a panel of weights is stored: the codes of all groups, then their scales, then their minimums.
enum class PanelFormat : std::uint8_t {
  nibbles,               ///< 4 bits, minimums stored
  nibbles_from_minus_8,  ///< 4 bits, minimum = -8 · scale
  bytes_from_minus_128,  ///< 8 bits, minimum = -128 · scale
};

/// Codes of a group in a panel: bytes [8 quads of K][16 columns][4 values of K]; as nibbles, the first four quads in
/// the low and the last four in the high halves.
[[gnu::always_inline]] constexpr std::size_t code_bytes(PanelFormat format) {
  return format == PanelFormat::bytes_from_minus_128 ? kPanel * kGroup : kPanel * kGroup / 2;
}
/// Scales and minimums: 16-bit floats [groups][16 columns] each.
[[gnu::always_inline]] constexpr std::size_t panel_bytes(PanelFormat format, std::size_t groups) {
  const std::size_t parameters = (format == PanelFormat::nibbles ? 2 : 1) * kPanel * sizeof(std::uint16_t);
  return (groups * (code_bytes(format) + parameters) + 63) / 64 * 64;
}

/// Rounded activations, as the kernels read them.
struct QuantizedRows {
  std::size_t rows = 0;
  std::size_t groups = 0;
  /// 64 bytes for a row and group: the high parts [32], then the low parts [32].
  std::int8_t* codes = nullptr;
  std::size_t row_stride = 0, group_stride = 0;  ///< bytes from one row, or group, to the next in a tile of 16 rows
  /// [tiles][groups][2][16]: for each of 16 rows the scale, then scale times the sum of the group's codes.
  float* scales = nullptr;

  [[gnu::always_inline]] std::int8_t* code(std::size_t row, std::size_t group) const {
    return codes + row / kTileRows * kTileRows * groups * 64 + row % kTileRows * row_stride + group * group_stride;
  }
  [[gnu::always_inline]] float* scale(std::size_t row, std::size_t group) const {
    return scales + (row / kTileRows * groups + group) * 2 * kTileRows + row % kTileRows;
  }
};

/// Some columns of a product.
struct ProductTask {
  PanelFormat format = PanelFormat::nibbles;
  const std::byte* panels = nullptr;  ///< of the whole matrix, 64-byte aligned
  std::size_t columns = 0;            ///< of the whole matrix
  std::size_t first_panel = 0, end_panel = 0;
  const QuantizedRows* x = nullptr;
  float* out = nullptr;          ///< [x.rows, columns]
  std::byte* scratch = nullptr;  ///< [scratch_bytes(groups)], 64-byte aligned, of this task alone
};

[[gnu::always_inline]] constexpr std::size_t scratch_bytes(std::size_t groups) { return groups * 1024 + 4096; }

using ProductKernel = void (*)(const ProductTask& task);

// Each needs the instruction set in its name.
void product_reference(const ProductTask& task);
void product_avx2(const ProductTask& task);
void product_vnni(const ProductTask& task);
/// For three rows or more, whose tiles lie in one piece: row_stride 64, group_stride 1024, up to whole tiles.
void product_amx(const ProductTask& task);

}  // namespace headwater::kernels::cpu
