// Instructions of AMX as plain loops, for files that include a kernel after this: it is compiled once more, with those.
// Source of what they do: Intel SDM, volume 2, TDPBF16PS and TDPBSUD.

#pragma once

#include <immintrin.h>

#include <bit>
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

/// A row of quads. Operations on all at once keep sanitizers, which look at each, from taking minutes.
using Quads [[gnu::vector_size(64)]] = std::uint32_t;
using Whole [[gnu::vector_size(64)]] = std::int32_t;
using Floats [[gnu::vector_size(64)]] = float;

/// to[m][n] += product(quad k of row m of a, quad n of row k of b), k by k.
template <class Numbers, class Product>
void multiply(int to, int a, int b, const Product& product) {
  for (std::size_t m = 0; m < configured_rows[to]; ++m) {
    Numbers sums;
    std::memcpy(&sums, tiles[to].rows[m], 64);
    for (std::size_t k = 0; k < configured_bytes[a] / 4U; ++k) {
      std::uint32_t x;
      std::memcpy(&x, tiles[a].rows[m] + 4 * k, 4);
      Quads y;
      std::memcpy(&y, tiles[b].rows[k], 64);
      sums += product(x, y);
    }
    std::memcpy(tiles[to].rows[m], &sums, configured_bytes[to]);
  }
}
/// Signed bytes times unsigned ones.
inline void multiply_bytes(int to, int a, int b) {
  multiply<Whole>(to, a, b, [](std::uint32_t x, const Quads& y) {
    Whole sum{};
    for (unsigned bits = 0; bits < 32; bits += 8) {
      sum += std::int32_t{static_cast<std::int8_t>(x >> bits)} * reinterpret_cast<Whole>(y >> bits & 0xFFU);
    }
    return sum;
  });
}
inline void multiply_bf16(int to, int a, int b) {
  constexpr std::uint32_t kHigh = 0xFFFF0000U;
  multiply<Floats>(to, a, b, [](std::uint32_t x, const Quads& y) {
    return std::bit_cast<float>(x << 16U) * reinterpret_cast<Floats>(y << 16U) +
           std::bit_cast<float>(x & kHigh) * reinterpret_cast<Floats>(y & kHigh);
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
