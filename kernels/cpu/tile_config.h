#pragma once
// What the AMX kernels share: the shapes of tile registers, and what the compiler has to be told. Source: Intel SDM,
// volume 1, section 18.3.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace headwater::kernels::cpu {

/// What LDTILECFG reads.
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

/// Of a whole tile.
inline constexpr std::size_t kTileBytes = 1024;

/// GCC 12 takes the intrinsic to read only the first bytes of the configuration, and drops what is stored to the rest.
[[gnu::target("amx-tile")]] static inline void load_tile_config(const TileConfig& config) {
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
}

/// Before tiles are loaded from memory that has just been written: the compiler does not know that they read it.
[[gnu::always_inline]] inline void finish_stores() { asm volatile("" ::: "memory"); }

}  // namespace headwater::kernels::cpu
