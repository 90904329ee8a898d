#pragma once
// Products of activations of 8 bits, rounded 32 at a time, with weights that stay quantised as the model file has them.
//
// product.h sums whole numbers over all of K, with activations of 16 bits: two products of bytes for each weight. Where
// vectors compute them, that is what bounds a prompt. Here it is one: each group of 32 activations has a step of its
// own, and a centre, so that eight bits are enough where a product tolerates them. A group's values lie between
// low <= 0 and high >= 0, and are
//     x = step · (centre + code), step = (high - low) / 253, code in [-127, 127]
// Weights are what a panel of product.h has, step_w · W, and a group gives a result
//     Σ x · w = step_w · step · (Σ code · W + 32 · centre · mean W)
// with the mean rounded to a whole number, as the weights are. Of 4-bit weights all in brackets is a whole number of 32
// bits, which becomes a float. Of others, whose dots with codes are greater, W = factor · q + offset: factor · Σ code ·
// q is a float, and the rest a whole number. The results of groups are added by fused multiply-adds, one group after
// the other: one order for one row and for many.
//
// A few groups of a row may be much wider than the others; their rounding would be most of its error. Those whose
// width's square is more than twice the mean of the row's are *wide*: they keep 16 bits. What rounding to a code
// has left of each value, step / 256 · rest, is multiplied as well, like the codes of a group without a centre, after
// all groups, again in their order. Which groups are wide follows from the row alone.
//
// The bounds: a code is within 127, a rest within 128, |W| within 31,065 and so is its mean; with dots of 4-bit codes
// less 7 (16 bits), what is summed in 32 bits is at most 2 · 32 · 128 · 31,065 < 2^28.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/product.h"

// Files for different instruction sets include this: what is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

/// Steps from the least to the greatest value of a group. One less than the codes have room for, as the centre is
/// rounded too.
inline constexpr int kGroupSteps = 253;
/// A group is wide if its width squared is more than so many times the row's mean.
inline constexpr double kWide = 2;

/// What a group of a row is multiplied by, but its codes.
struct GroupTerms {
  float step;                ///< NaN if the group has a NaN or an infinity, or is wider than floats are
  std::int32_t start;        ///< -kMiddle · sum: what a dot with 4-bit codes less kMiddle begins with
  std::int16_t sum;          ///< Σ code
  std::int16_t centre;       ///< 32 · centre
  std::int16_t first, last;  ///< Σ code of the first 16 values, and of the last 16

  [[gnu::always_inline]] static GroupTerms of(float step, int centre, int first, int last) {
    const int sum = first + last;
    return {step,
            -kMiddle * sum,
            static_cast<std::int16_t>(sum),
            static_cast<std::int16_t>(static_cast<int>(kGroup) * centre),
            static_cast<std::int16_t>(first),
            static_cast<std::int16_t>(last)};
  }
  /// `sum` in the lower 16 bits, `centre` in the upper.
  [[gnu::always_inline]] int sum_and_centre() const {
    int both;
    __builtin_memcpy(&both, &sum, sizeof both);
    return both;
  }
  /// `first` in the lower 16 bits, `last` in the upper.
  [[gnu::always_inline]] int halves() const {
    int both;
    __builtin_memcpy(&both, &first, sizeof both);
    return both;
  }
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

/// Rows that a kernel computes side by side, at most.
inline constexpr std::size_t kBlockRows = 12;

/// A group of a row that is wide, with all that its rests need: a line of memory.
struct alignas(64) WideGroup {
  std::int8_t rests[kGroup];
  GroupTerms terms;
  std::uint16_t row, group;  ///< the row of its block
};

/// Rounded activations, as the kernels read them: in blocks of rows, of which a group's lie side by side, so that a
/// kernel reads one stream of bytes and finds all rows from one address.
struct GroupedRows {
  std::size_t rows = 0;
  std::size_t groups = 0;
  std::size_t height = 0;            ///< rows of a block, at most kBlockRows; a last one may have some to spare
  std::int8_t* codes = nullptr;      ///< [blocks][groups][height][32]
  std::int8_t* rests = nullptr;      ///< the same; of wide groups alone
  GroupTerms* terms = nullptr;       ///< [blocks][groups][height]
  GroupTerms* rest_terms = nullptr;  ///< the same for rests: without a centre; of wide groups alone
  std::uint64_t* wide = nullptr;     ///< [rows][wide_words()]: a bit for each group
  WideGroup* listed = nullptr;       ///< [blocks][height * most_wide()]: wide groups in the order of rows, if there are
                                     ///< several blocks
  std::uint32_t* n_listed = nullptr;  ///< [blocks]

  [[gnu::always_inline]] std::size_t blocks() const { return (rows + height - 1) / height; }
  /// Groups that can be wide in a row.
  [[gnu::always_inline]] std::size_t most_wide() const { return groups / static_cast<std::size_t>(kWide); }
  [[gnu::always_inline]] std::size_t wide_words() const { return (groups + 63) / 64; }
  /// Where the terms of a row and group are; its codes and rests begin at 32 times that.
  [[gnu::always_inline]] std::size_t place(std::size_t row, std::size_t group) const {
    return (row / height * groups + group) * height + row % height;
  }
};

/// A panel's groups with each code in a byte, as a kernel may write them down where many rows follow: it has room for
/// them behind the scratch of a task. Of more values of K they would not stay in the second-level cache.
inline constexpr std::size_t kOpenGroupBytes = 768;
inline constexpr std::size_t kMostOpenGroups = 512;
[[gnu::always_inline]] constexpr std::size_t opened_bytes(std::size_t groups) {
  return (groups < kMostOpenGroups ? groups : kMostOpenGroups) * kOpenGroupBytes;
}

// Tasks of these have `grouped` rows in place of `x`, and scratch for opened groups. Each needs the instruction set in
// its name.
void product_grouped_reference(const ProductTask& task);
void product_grouped_avx2(const ProductTask& task);
void product_grouped_avxvnni(const ProductTask& task);
void product_grouped_vnni(const ProductTask& task);

}  // namespace headwater::kernels::cpu
