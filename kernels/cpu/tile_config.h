#pragma once
// The shapes of AMX's tile registers. Source: Intel SDM, volume 1, section 18.3.

#include <cstdint>

namespace headwater::kernels::cpu {

/// What LDTILECFG reads. GCC 12 takes the intrinsic to read only its first bytes: before _tile_loadconfig(&config) say
/// `asm volatile("" ::"r"(&config) : "memory")`.
struct alignas(64) TileConfig {
  std::uint8_t palette;
  std::uint8_t start_row;
  std::uint8_t reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};

/// All eight tiles of 16 rows of 64 bytes.
inline constexpr TileConfig kWholeTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

}  // namespace headwater::kernels::cpu
