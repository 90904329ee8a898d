#pragma once
// Activations rounded to 12 bits for products with quantised weights (see product.h).

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {

/// Rounds each group of 32 values: the scale is max|x| / 2047, codes go to the nearest, ties to even. A group of zeros
/// (all below 1e-30) has the scale 0; one with an infinity or NaN has the scale NaN.
/// x: [groups * 32]. codes: group g at g * group_stride, [32] high parts, [32] low ones. scales: group g at
/// g * 2 * kTileRows, and kTileRows after it the scale times the sum of the group's codes.
void quantize_row(const float* x, std::size_t groups, std::int8_t* codes, std::size_t group_stride, float* scales);

namespace reference {
void quantize_row(const float* x, std::size_t groups, std::int8_t* codes, std::size_t group_stride, float* scales);
}

/// Memory for rounded rows, used again at each product.
class Activations {
 public:
  /// Makes room. `tiles`: each 16 rows of a group side by side, as product_amx() wants them.
  void resize(std::size_t rows, std::size_t groups, bool tiles);
  /// x: [groups * 32]. Different rows may be rounded side by side.
  void quantize(std::size_t row, const float* x) {
    quantize_row(x, rows_.groups, rows_.code(row, 0), rows_.group_stride, rows_.scale(row, 0));
  }
  const QuantizedRows& rows() const { return rows_; }

 private:
  QuantizedRows rows_;
  std::vector<std::byte> codes_;
  std::vector<float> scales_;
};

}  // namespace headwater::kernels::cpu
