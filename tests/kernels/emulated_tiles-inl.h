// Instructions of AMX as plain loops, for files that include a kernel after this: it is compiled once more, with those.
// Source of what they do: Intel SDM, volume 2, TDPBF16PS and TDPBSUD.

#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace headwater::kernels::cpu::emulated {

struct Tile {
  alignas(64) std::uint8_t rows[16][64];
};
inline thread_local Tile tiles[8];
inline thread_local std::uint8_t configured_rows[8];
inline thread_local std::uint16_t configured_bytes[8];

inline void configure(const void* config) {
  const auto* bytes = static_cast<const std::uint8_t*>(config);
  for (int i = 0; i < 8; ++i) {
    std::memcpy(&configured_bytes[i], bytes + 16 + 2 * i, 2);
    configured_rows[i] = bytes[48 + i];
  }
  std::memset(tiles, 0, sizeof(tiles));
}
inline void release() { std::memset(configured_rows, 0, sizeof(configured_rows)); }
inline void zero(int tile) { std::memset(&tiles[tile], 0, sizeof(Tile)); }
inline void load(int tile, const void* from, std::size_t stride) {
  zero(tile);
  for (std::size_t r = 0; r < configured_rows[tile]; ++r) {
    std::memcpy(tiles[tile].rows[r], static_cast<const std::uint8_t*>(from) + r * stride, configured_bytes[tile]);
  }
}
inline void store(int tile, void* to, std::size_t stride) {
  for (std::size_t r = 0; r < configured_rows[tile]; ++r) {
    std::memcpy(static_cast<std::uint8_t*>(to) + r * stride, tiles[tile].rows[r], configured_bytes[tile]);
  }
}

/// to[m][n] += product(quad k of row m of a, quad n of row k of b), k by k.
template <class Number, class Product>
void multiply(int to, int a, int b, const Product& product) {
  for (std::size_t m = 0; m < configured_rows[to]; ++m) {
    for (std::size_t k = 0; k < configured_bytes[a] / 4U; ++k) {
      for (std::size_t n = 0; n < configured_bytes[to] / 4U; ++n) {
        Number sum;
        std::memcpy(&sum, tiles[to].rows[m] + 4 * n, 4);
        sum += product(tiles[a].rows[m] + 4 * k, tiles[b].rows[k] + 4 * n);
        std::memcpy(tiles[to].rows[m] + 4 * n, &sum, 4);
      }
    }
  }
}
/// Signed bytes times unsigned ones.
inline void multiply_bytes(int to, int a, int b) {
  multiply<std::int32_t>(to, a, b, [](const std::uint8_t* x, const std::uint8_t* y) {
    std::int32_t sum = 0;
    for (int i = 0; i < 4; ++i) sum += std::int32_t{static_cast<std::int8_t>(x[i])} * y[i];
    return sum;
  });
}
inline void multiply_bf16(int to, int a, int b) {
  const auto widen = [](const std::uint8_t* bytes) {
    const std::uint32_t bits = static_cast<std::uint32_t>(bytes[0]) << 16U | static_cast<std::uint32_t>(bytes[1])
                                                                                 << 24U;
    float number;
    std::memcpy(&number, &bits, 4);
    return number;
  };
  multiply<float>(to, a, b, [&](const std::uint8_t* x, const std::uint8_t* y) {
    return widen(x) * widen(y) + widen(x + 2) * widen(y + 2);
  });
}

}  // namespace headwater::kernels::cpu::emulated

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbsud
#undef _tile_dpbf16ps
#define _tile_loadconfig(config) emulated::configure(config)
#define _tile_release() emulated::release()
#define _tile_zero(tile) emulated::zero(tile)
#define _tile_loadd(tile, from, stride) emulated::load(tile, from, stride)
#define _tile_stored(tile, to, stride) emulated::store(tile, to, stride)
#define _tile_dpbsud(to, a, b) emulated::multiply_bytes(to, a, b)
#define _tile_dpbf16ps(to, a, b) emulated::multiply_bf16(to, a, b)
// Everything that is compiled here has another name than in the library.
#define attention_tiles emulated_attention_tiles
#define kAmxAttention kEmulatedAttention
#define kAmxQuantizedAttention kEmulatedQuantizedAttention
