#pragma once
// Quantised weights as whole numbers, 32 of a row at a time: whoever packs or expands them knows no layout of a file.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/tensor.h"

namespace headwater::kernels {

inline constexpr std::size_t kGroupValues = 32;

/// Value i of the group is scale[i / 16] · (codes[i] - zero) + minimum[i / 16], in float32, rounded after each step.
/// Where a format has one scale for all 32, both are that; where it has no minimum, it is 0.
struct GroupScale {
  std::array<float, 2> scale, minimum;
};
struct WeightGroup : GroupScale {
  std::array<std::uint8_t, kGroupValues> codes;
};

/// What all groups of a type have in common.
struct GroupFormat {
  std::uint8_t zero, least, most;  ///< the code that stands for 0, and which codes there can be
  bool has_minimum;
  bool one_scale;  ///< for all 32 values
};

/// REQUIRES: block_values(type) > 1.
GroupFormat group_format(DType type);

/// Group `group` of a row, which begins at `row` and has whole blocks. REQUIRES: block_values(type) > 1.
WeightGroup read_group(DType type, const std::byte* row, std::size_t group);
/// The same without the codes, which are most of the work.
GroupScale read_scale(DType type, const std::byte* row, std::size_t group);

/// The bytes of a block that read_scale() reads.
struct ScaleBytes {
  std::size_t first, size;
};
ScaleBytes scale_bytes(DType type);

/// The values of a group. out: [32]. REQUIRES: block_values(type) > 1.
void expand_group(DType type, const WeightGroup& group, std::span<float> out);

}  // namespace headwater::kernels
