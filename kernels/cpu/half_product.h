#pragma once
// Products of activations in float32 with weights that are kept in 16 bits, as floats with mantissas of 11 bits, for
// processors that have no products of bfloat16: a sequence waits for weights, and float32 would be twice as many bytes.
//
// A column of the result has a power of two, so that its greatest weight is next to 2^15: whatever the file's numbers
// are, none is too great, and none that matters too small. Each result is a sum in the order of K, by one fused
// multiply-add after the other: one order for one row and for many.

#include <cstddef>
#include <cstdint>

namespace headwater::kernels::cpu {

/// Columns of the result that lie side by side.
inline constexpr std::size_t kHalfPanel = 32;

/// Some columns of a product.
struct HalfTask {
  const std::uint16_t* panel;  ///< [k][kHalfPanel]
  const float* scales;         ///< [kHalfPanel]: what its numbers are worth
  std::size_t k;
  const float* x;  ///< [rows, k]
  std::size_t rows;
  float* sums;  ///< [rows, kHalfPanel], to work with
  float* out;
  std::size_t out_stride, columns;  ///< columns: that there are of the panel's
};
void half_product_reference(const HalfTask& task);
void half_product_avx2(const HalfTask& task);
/// out = x · scale in 16 bits, to the nearest, ties to even. Needs AVX2.
void to_half_avx2(const float* x, std::size_t n, float scale, std::uint16_t* out);

}  // namespace headwater::kernels::cpu
