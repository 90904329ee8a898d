#pragma once
// A single code of a panel (see product.h), for references.

#include <cstddef>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {

/// q of value `k` of a group.
inline int panel_code(PanelFormat format, const PanelView& panel, std::size_t group, std::size_t column,
                      std::size_t k) {
  const std::byte* codes = panel.codes + group * code_bytes(format);
  const std::size_t place = k / 4 * 4 * kPanel + column * 4 + k % 4;
  if (has_sixes(format)) {
    const std::size_t quad = k / 4;
    const auto byte = [&](std::size_t i) {
      return std::to_integer<int>(codes[(quad / 4 * 3 + i) * 4 * kPanel + column * 4 + k % 4]);
    };
    if (quad % 4 < 3) return byte(quad % 4) & 63;
    return byte(0) >> 6 << 4 | byte(1) >> 6 << 2 | byte(2) >> 6;
  }
  if (!has_nibbles(format)) return std::to_integer<int>(codes[place]);
  constexpr std::size_t kHalf = kPanel * kGroup / 2;
  return std::to_integer<int>(place < kHalf ? codes[place] & std::byte{15} : codes[place - kHalf] >> 4);
}

}  // namespace headwater::kernels::cpu
