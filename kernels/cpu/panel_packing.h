#pragma once
// From the rows of a model file to panels (see product.h), and the codes back.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/cpu/product.h"
#include "kernels/tensor.h"
#include "kernels/weight_group.h"

namespace headwater::kernels::cpu {

/// The panels that hold weights of `type` exactly, but for the rounding of scales; nothing: none do.
std::optional<PanelFormat> panel_format(DType type);

/// Writes a row of the file, of `groups` groups, as column `column` of a panel. REQUIRES: panel_format(type).
void pack_column(DType type, const std::byte* row, std::size_t column, std::size_t groups, std::byte* panel);

/// The codes, as read_group() gives them, of group `group` of a column that pack_column() wrote. `scale`: that group's.
std::array<std::uint8_t, kGroupValues> read_codes(DType type, const GroupScale& scale, const std::byte* panel,
                                                  std::size_t column, std::size_t group, std::size_t groups);

}  // namespace headwater::kernels::cpu
