// AMX: tiles of 16 rows by 16 columns. Weights become numbers of 16 bits for as long as a panel is computed; the
// products of the high and low bytes of both sides are summed each by itself, over all of K, and joined at the end.

#include <immintrin.h>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

void configure_whole_tiles() {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = 64;
    config.rows[tile] = kTileRows;
  }
  _tile_loadconfig(&config);
}

constexpr std::size_t kTileBytes = 1024;

/// The compiler does not know that tile instructions read memory.
inline void finish_stores() { asm volatile("" ::: "memory"); }

/// Numbers [16] twice each, as 32 lanes of 16 bits.
inline __m512i load_twice(const std::int16_t* numbers) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers)));
  return _mm512_or_si512(wide, _mm512_slli_epi32(wide, 16));
}

/// Codes of a quad of K to weights: high bytes to `tile`, low bytes a tile further on.
inline void expand_quad(__m512i codes, __m512i factor, __m512i offset, std::byte* tile) {
  constexpr __mmask64 kOdd = 0xAAAAAAAAAAAAAAAA;
  const __m512i even = _mm512_and_si512(codes, _mm512_set1_epi16(0xFF));
  const __m512i odd = _mm512_srli_epi16(codes, 8);
  const __m512i even_weights = _mm512_add_epi16(_mm512_mullo_epi16(even, factor), offset);
  const __m512i odd_weights = _mm512_add_epi16(_mm512_mullo_epi16(odd, factor), offset);
  _mm512_store_si512(tile, _mm512_mask_mov_epi8(_mm512_srli_epi16(even_weights, 8), kOdd, odd_weights));
  _mm512_store_si512(tile + kTileBytes, _mm512_mask_mov_epi8(even_weights, kOdd, _mm512_slli_epi16(odd_weights, 8)));
}

template <PanelFormat kFormat>
void expand_group(const PanelView& panel, std::size_t group, std::byte* tile) {
  constexpr std::size_t kAhead = 4096;
  const std::byte* codes = panel.codes + group * code_bytes(kFormat);
  const __m512i factor = load_twice(panel.factors + group * kPanel);
  __m512i offset;
  if constexpr (kFormat == PanelFormat::nibbles) offset = load_twice(panel.offsets + group * kPanel);
  if constexpr (kFormat == PanelFormat::nibbles_minus_8) offset = _mm512_mullo_epi16(factor, _mm512_set1_epi16(-8));
  if constexpr (kFormat == PanelFormat::bytes_minus_128) offset = _mm512_mullo_epi16(factor, _mm512_set1_epi16(-128));
  for (std::size_t i = 0; i < code_bytes(kFormat); i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + i), _MM_HINT_T0);
  }
  if constexpr (kFormat == PanelFormat::bytes_minus_128) {
    for (int i = 0; i < 8; ++i) expand_quad(_mm512_load_si512(codes + 64 * i), factor, offset, tile + 64 * i);
  } else {
    const __m512i low = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m512i both = _mm512_load_si512(codes + 64 * i);
      expand_quad(_mm512_and_si512(both, low), factor, offset, tile + 64 * i);
      expand_quad(_mm512_and_si512(_mm512_srli_epi16(both, 4), low), factor, offset, tile + 64 * (i + 4));
    }
  }
}

/// A panel's weights: for each step of K a tile of high bytes and a tile of low ones.
template <PanelFormat kFormat>
void expand(const PanelView& panel, std::size_t groups, std::byte* tiles) {
  for (std::size_t g = 0; g < groups; ++g) {
    expand_group<kFormat>(panel, g, tiles + g / 2 * 2 * kTileBytes + g % 2 * (kTileBytes / 2));
  }
  if (groups % 2 == 1) {
    std::byte* rest = tiles + (groups - 1) * kTileBytes + kTileBytes / 2;
    for (std::size_t i = 0; i < kTileBytes / 2; i += 64) {
      _mm512_store_si512(rest + i, _mm512_setzero_si512());
      _mm512_store_si512(rest + kTileBytes + i, _mm512_setzero_si512());
    }
  }
  finish_stores();
}

/// The sums of a tile, [16][16] each: of high by high bytes, of high by low ones both ways, of low by low.
void multiply(const std::byte* weights, const std::int8_t* x, const QuantizedRows& rows, std::int32_t* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  for (std::size_t step = 0; step < rows.steps; ++step) {
    _tile_loadd(5, weights, 64);
    _tile_loadd(3, x, 64);
    _tile_loadd(6, weights + kTileBytes, 64);
    _tile_loadd(4, x + rows.low, 64);
    _tile_dpbssd(0, 3, 5);
    _tile_dpbsud(1, 3, 6);
    _tile_dpbssd(1, 4, 5);
    _tile_dpbsud(2, 4, 6);
    weights += 2 * kTileBytes;
    x += rows.step_stride;
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 256, 64);
  _tile_stored(2, sums + 512, 64);
}

/// 65536 · high + 256 · middle + low, rounded to float as product_reference() does it.
inline __m512 join(__m512i high, __m512i middle, __m512i low) {
  const __m512i byte = _mm512_set1_epi32(0xFF);
  middle = _mm512_add_epi32(middle, _mm512_srai_epi32(low, 8));
  high = _mm512_add_epi32(high, _mm512_srai_epi32(middle, 8));
  low = _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(middle, byte), 8), _mm512_and_si512(low, byte));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(65536), _mm512_cvtepi32_ps(low));
}

void store(const ProductTask& task, const PanelView& panel, std::size_t index, std::size_t row,
           const std::int32_t* sums) {
  const std::size_t n = task.x->rows - row < kTileRows ? task.x->rows - row : kTileRows;
  const std::size_t column = index * kPanel;
  const std::size_t left = task.columns - column;
  const __mmask16 kept = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
  const __m512 steps = _mm512_load_ps(panel.steps);
  for (std::size_t r = 0; r < n; ++r) {
    const __m512 value = join(_mm512_load_si512(sums + 16 * r), _mm512_load_si512(sums + 256 + 16 * r),
                              _mm512_load_si512(sums + 512 + 16 * r));
    const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(value, steps), _mm512_set1_ps(task.x->scales[row + r]));
    _mm512_mask_storeu_ps(task.out + (row + r) * task.columns + column, kept, scaled);
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  const QuantizedRows& x = *task.x;
  auto* const sums = reinterpret_cast<std::int32_t*>(task.scratch + x.steps * 2 * kTileBytes);
  configure_whole_tiles();
  for (std::size_t index = task.first_panel; index < task.end_panel; ++index) {
    const PanelView panel = view_panel(kFormat, task.panels + index * panel_bytes(kFormat, x.groups), x.groups);
    expand<kFormat>(panel, x.groups, task.scratch);
    for (std::size_t row = 0; row < x.rows; row += kTileRows) {
      multiply(task.scratch, x.at(row, 0), x, sums);
      store(task, panel, index, row, sums);
    }
  }
  _tile_release();
}

}  // namespace

void product_amx(const ProductTask& task) {
  switch (task.format) {
    case PanelFormat::nibbles:
      return product<PanelFormat::nibbles>(task);
    case PanelFormat::nibbles_minus_8:
      return product<PanelFormat::nibbles_minus_8>(task);
    case PanelFormat::bytes_minus_128:
      return product<PanelFormat::bytes_minus_128>(task);
  }
}

}  // namespace headwater::kernels::cpu
