#pragma once
// Products of activations of 8 bits, rounded 32 at a time, with weights that stay quantised as the model file has them.
//
// product.h sums whole numbers over all of K, with activations of 16 bits: two products of bytes for each weight. Where
// vectors compute them, that is what bounds a prompt. Here it is one: each group of 32 activations has a step of its
// own, and a centre, so that eight bits are enough where a product tolerates them. A group's values lie between
// low <= 0 and high >= 0, and are
//     x = step · (centre + code), step = (high - low) / 253, code in [-127, 127]
// Weights are what a panel of product.h has, step_w · (factor · q + offset), and a group gives a result
//     Σ x · w = step_w · (step · factor · Σ code · q + step · centre · factor · Σ q + offset · Σ x)
// of which the first sum is exact in 32 bits. These three are added as floats, by fused multiply-adds, group after
// group: one order for one row and for many.
//
// A few groups of a row may be much wider than the others; their rounding would be most of its error. Those whose
// width's square is more than three times the mean of the row's are *wide*: they keep 16 bits. What rounding to a code
// has left of each value, step · rest / 256, is multiplied as well, after all groups, again in their order. Which
// groups are wide follows from the row alone.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/product.h"

// Files for different instruction sets include this: what is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

/// Steps from the least to the greatest value of a group. One less than the codes have room for, as the centre is
/// rounded too.
inline constexpr int kGroupSteps = 253;
/// A group is wide if its width squared is more than so many times the row's mean.
inline constexpr double kWide = 3;

/// What a group of a row is multiplied by, but its codes.
struct GroupTerms {
  float step;    ///< NaN if the group has a NaN or an infinity, or is wider than floats are
  float centre;  ///< step · centre
  float sum;     ///< of the values as they are rounded
  float first;   ///< of the first 16 of them
};

/// How a group is rounded.
struct GroupScale8 {
  float step;
  float inverse;  ///< what values are multiplied by: 256 / step
  int centre;
  bool usable;  ///< false: the codes are zero
};
/// low, high: of the group's values and 0.
[[gnu::always_inline]] inline GroupScale8 group_scale(float low, float high) {
  const float width = high - low;
  if (!(width <= 3.4028235E38F)) return {__builtin_nanf(""), 0, 0, false};
  if (width < 1e-30F) return {0, 0, 0, false};  // its inverse could overflow
  const float inverse = 256.0F * kGroupSteps / width;
  return {width / kGroupSteps, inverse, static_cast<int>(__builtin_rintf((low + high) * (inverse / 512))), true};
}
/// code, rest: the sums of all codes and rests, and of the first 16. A group that is not wide has no rests.
[[gnu::always_inline]] inline GroupTerms group_terms(const GroupScale8& scale, int code, int rest, int first_code,
                                                     int first_rest) {
  constexpr int kHalf = kGroup / 2;
  const float small = scale.step / 256;
  return {scale.step, scale.step * static_cast<float>(scale.centre),
          small * static_cast<float>(256 * (2 * kHalf * scale.centre + code) + rest),
          small * static_cast<float>(256 * (kHalf * scale.centre + first_code) + first_rest)};
}

/// Rows that a kernel computes side by side, at most.
inline constexpr std::size_t kBlockRows = 12;

/// Rounded activations, as the kernels read them: in blocks of rows, of which a group's lie side by side, so that a
/// kernel reads one stream of bytes and finds all rows from one address.
struct GroupedRows {
  std::size_t rows = 0;
  std::size_t groups = 0;
  std::size_t height = 0;         ///< rows of a block, at most kBlockRows; a last one may have some to spare
  std::int8_t* codes = nullptr;   ///< [blocks][groups][height][32]
  std::int8_t* rests = nullptr;   ///< the same; 0 in groups that are not wide
  GroupTerms* terms = nullptr;    ///< [blocks][groups][height]
  std::uint64_t* wide = nullptr;  ///< [rows][wide_words()]: a bit for each group

  [[gnu::always_inline]] std::size_t wide_words() const { return (groups + 63) / 64; }
  /// Where the terms of a row and group are; its codes and rests begin at 32 times that.
  [[gnu::always_inline]] std::size_t place(std::size_t row, std::size_t group) const {
    return (row / height * groups + group) * height + row % height;
  }
};

// Tasks of these have `grouped` rows in place of `x`. Each needs the instruction set in its name.
void product_grouped_reference(const ProductTask& task);
void product_grouped_avx2(const ProductTask& task);
void product_grouped_avxvnni(const ProductTask& task);
void product_grouped_vnni(const ProductTask& task);

}  // namespace headwater::kernels::cpu
