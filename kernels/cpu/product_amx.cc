// AMX: tiles of 16 rows by 16 columns. A tile product takes 64 bytes of K: the 32 high parts of a group's activations
// meet 16 · q, the 32 low parts meet q, so that one product gives the whole sum. With 8-bit codes 16 · q has no room
// in a byte; there the two parts are multiplied one after the other.

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

// Tiles: results of whole tiles 0 and 1, of the last one's rows 4 and 5; activations 2 and 6; weights 3.
void configure(PanelFormat format, std::size_t tail_rows) {
  const bool bytes = format == PanelFormat::bytes_from_minus_128;
  TileConfig config;
  for (int tile = 0; tile < 7; ++tile) {
    config.row_bytes[tile] = bytes && (tile == 2 || tile == 6) ? 32 : 64;
    config.rows[tile] = static_cast<std::uint8_t>(tile >= 4 ? (tail_rows > 0 ? tail_rows : 1) : 16);
  }
  if (bytes) config.rows[3] = 8;
  _tile_loadconfig(&config);
}

/// The compiler does not know that tile loads read memory.
inline void stores_before_tile_loads() { asm volatile("" ::: "memory"); }

/// A panel's weights as the tile products take them, and where its scales lie.
template <PanelFormat kFormat>
struct Panel {
  static constexpr bool kBytes = kFormat == PanelFormat::bytes_from_minus_128;
  const std::byte* codes;  ///< [groups] tiles
  const std::uint16_t* scales;
  const std::uint16_t* minimums;

  Panel(const ProductTask& task, std::size_t panel) {
    const std::size_t groups = task.x->groups;
    codes = task.panels + panel * panel_bytes(kFormat, groups);
    scales = reinterpret_cast<const std::uint16_t*>(codes + groups * code_bytes(kFormat));
    minimums = scales + groups * kPanel;
    if constexpr (!kBytes) {
      for (std::size_t g = 0; g < groups; ++g) expand(codes + g * code_bytes(kFormat), task.scratch + g * 1024);
      codes = task.scratch;
      stores_before_tile_loads();
    }
  }
  static constexpr std::size_t kTileBytes = kBytes ? 512 : 1024;

 private:
  static void expand(const std::byte* nibbles, std::byte* tile) {
    constexpr std::size_t kAhead = 2048;
    const __m512i low = _mm512_set1_epi8(0x0F);
    const __m512i high = _mm512_set1_epi8(static_cast<char>(0xF0));
    for (int i = 0; i < 4; ++i) {
      _mm_prefetch(reinterpret_cast<const char*>(nibbles + kAhead + 64 * i), _MM_HINT_T0);
      const __m512i both = _mm512_load_si512(nibbles + 64 * i);
      _mm512_store_si512(tile + 64 * i, _mm512_and_si512(_mm512_slli_epi16(both, 4), high));
      _mm512_store_si512(tile + 64 * (i + 4), _mm512_and_si512(both, high));
      _mm512_store_si512(tile + 64 * (i + 8), _mm512_and_si512(both, low));
      _mm512_store_si512(tile + 64 * (i + 12), _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
    }
  }
};

/// Writes a group's sums, [16][16] of each part, to `sums`.
template <PanelFormat kFormat, bool kTail>
inline void multiply(const std::byte* weights, const std::int8_t* x, std::int32_t* sums) {
  if constexpr (kFormat == PanelFormat::bytes_from_minus_128) {
    _tile_loadd(3, weights, 64);
    if constexpr (kTail) {
      _tile_zero(4);
      _tile_zero(5);
      _tile_loadd(6, x, 64);
      _tile_dpbsud(4, 6, 3);
      _tile_loadd(6, x + 32, 64);
      _tile_dpbsud(5, 6, 3);
      _tile_stored(4, sums, 64);
      _tile_stored(5, sums + 256, 64);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_loadd(2, x, 64);
      _tile_dpbsud(0, 2, 3);
      _tile_loadd(2, x + 32, 64);
      _tile_dpbsud(1, 2, 3);
      _tile_stored(0, sums, 64);
      _tile_stored(1, sums + 256, 64);
    }
  } else {
    _tile_loadd(3, weights, 64);
    if constexpr (kTail) {
      _tile_zero(4);
      _tile_loadd(6, x, 64);
      _tile_dpbsud(4, 6, 3);
      _tile_stored(4, sums, 64);
    } else {
      _tile_zero(0);
      _tile_loadd(2, x, 64);
      _tile_dpbsud(0, 2, 3);
      _tile_stored(0, sums, 64);
    }
  }
}

inline __m512 load_half(const std::uint16_t* x) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}

/// Adds a group's share to N rows.
template <PanelFormat kFormat, int N>
inline void gather(const Panel<kFormat>& panel, std::size_t group, const std::int32_t* dots, const float* scales,
                   __m512 (&sums)[N]) {
  const __m512 scale = load_half(panel.scales + group * kPanel);
  __m512 minimum;
  if constexpr (kFormat == PanelFormat::nibbles) minimum = load_half(panel.minimums + group * kPanel);
  if constexpr (kFormat == PanelFormat::nibbles_from_minus_8) minimum = _mm512_mul_ps(scale, _mm512_set1_ps(-8));
  if constexpr (kFormat == PanelFormat::bytes_from_minus_128) minimum = _mm512_mul_ps(scale, _mm512_set1_ps(-128));
#pragma GCC unroll 16
  for (int r = 0; r < N; ++r) {
    __m512i dot = _mm512_load_si512(dots + 16 * r);
    if constexpr (Panel<kFormat>::kBytes) {
      dot = _mm512_add_epi32(_mm512_slli_epi32(dot, 4), _mm512_load_si512(dots + 256 + 16 * r));
    }
    const __m512 weighed = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), scale);
    sums[r] = _mm512_fmadd_ps(weighed, _mm512_set1_ps(scales[r]), sums[r]);
    sums[r] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(scales[kTileRows + r]), sums[r]);
  }
}

/// The rows of one tile; N: how many are computed, `n`: how many there are.
template <PanelFormat kFormat, int N, bool kTail>
void tile(const ProductTask& task, const Panel<kFormat>& panel, std::size_t index, std::size_t row, std::size_t n) {
  const QuantizedRows& x = *task.x;
  // The sums of a group are read while the next group's are made.
  auto* const buffer = reinterpret_cast<std::int32_t*>(task.scratch + x.groups * 1024);
  const auto place = [&](std::size_t group) { return buffer + group % 2 * 512; };
  __m512 sums[N];
  for (int r = 0; r < N; ++r) sums[r] = _mm512_setzero_ps();
  multiply<kFormat, kTail>(panel.codes, x.code(row, 0), place(0));
  for (std::size_t g = 1; g < x.groups; ++g) {
    multiply<kFormat, kTail>(panel.codes + g * panel.kTileBytes, x.code(row, g), place(g));
    gather<kFormat, N>(panel, g - 1, place(g - 1), x.scale(row, g - 1), sums);
  }
  gather<kFormat, N>(panel, x.groups - 1, place(x.groups - 1), x.scale(row, x.groups - 1), sums);

  const std::size_t column = index * kPanel;
  const std::size_t left = task.columns - column;
  const __mmask16 kept = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
  float* out = task.out + row * task.columns + column;
#pragma GCC unroll 16
  for (int r = 0; r < N; ++r) {
    if (static_cast<std::size_t>(r) < n) _mm512_mask_storeu_ps(out + r * task.columns, kept, sums[r]);
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  const std::size_t rows = task.x->rows;
  const std::size_t tail = rows % kTileRows;
  configure(kFormat, tail);
  for (std::size_t index = task.first_panel; index < task.end_panel; ++index) {
    const Panel<kFormat> panel(task, index);
    for (std::size_t row = 0; row + kTileRows <= rows; row += kTileRows) {
      tile<kFormat, 16, false>(task, panel, index, row, kTileRows);
    }
    const std::size_t row = rows - tail;
    if (tail > 12) {
      tile<kFormat, 16, true>(task, panel, index, row, tail);
    } else if (tail > 8) {
      tile<kFormat, 12, true>(task, panel, index, row, tail);
    } else if (tail > 4) {
      tile<kFormat, 8, true>(task, panel, index, row, tail);
    } else if (tail > 0) {
      tile<kFormat, 4, true>(task, panel, index, row, tail);
    }
  }
  _tile_release();
}

}  // namespace

void product_amx(const ProductTask& task) {
  switch (task.format) {
    case PanelFormat::nibbles:
      return product<PanelFormat::nibbles>(task);
    case PanelFormat::nibbles_from_minus_8:
      return product<PanelFormat::nibbles_from_minus_8>(task);
    case PanelFormat::bytes_from_minus_128:
      return product<PanelFormat::bytes_from_minus_128>(task);
  }
}

}  // namespace headwater::kernels::cpu
