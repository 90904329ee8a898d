#pragma once
// Activations rounded to 16 bits a row, for products with quantised weights (see product.h).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {

/// Rounds x [into.groups * 32] to row `row` of `into`: its scale is max|x| / 32512, numbers go to the nearest, ties to
/// even. A row of nothing above 1e-30 has the scale 0; one with an infinity or NaN has the scale NaN. Sums are written
/// if there is room for them. Different rows may be rounded side by side.
void quantize_row_portable(const float* x, const QuantizedRows& into, std::size_t row);
/// The same, where there is AVX-512.
void quantize_row_avx512(const float* x, const QuantizedRows& into, std::size_t row);

/// How a row is scaled.
struct RowFactors {
  float scale;    ///< of the numbers
  float inverse;  ///< what values are multiplied by
  bool usable;    ///< false: the numbers are zero
};

/// `greatest`: the greatest magnitude of the row.
[[gnu::always_inline]] inline RowFactors row_factors(float greatest) {
  if (!(greatest <= 3.4028235e38F)) return {__builtin_nanf(""), 0, false};
  if (greatest < 1e-30F) return {0, 0, false};  // its inverse could overflow
  return {greatest / kGreatestActivation, kGreatestActivation / greatest, true};
}

namespace reference {
void quantize_row(const float* x, const QuantizedRows& into, std::size_t row);
}

/// Memory for rounded rows, used again at each product.
class Activations {
 public:
  /// Makes room. `tiles`: 16 rows of a step side by side, as product_amx() wants them, and no sums; otherwise each row
  /// in one piece, with sums.
  void resize(std::size_t rows, std::size_t groups, bool tiles);
  const QuantizedRows& rows() const { return rows_; }

 private:
  QuantizedRows rows_;
  std::vector<std::byte> codes_;
  std::vector<float> scales_;
  std::vector<GroupSums> sums_;
};

}  // namespace headwater::kernels::cpu
