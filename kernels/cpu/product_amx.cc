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
struct Sums {
  alignas(64) std::int32_t high[256], middle[256], low[256];
};

// Results go to tiles 0 … 2 or 5 … 7 by turns, so that one set can be stored while the other is summed.
#define HEADWATER_MULTIPLY(HIGH, MIDDLE, LOW)             \
  _tile_zero(HIGH);                                       \
  _tile_zero(MIDDLE);                                     \
  _tile_zero(LOW);                                        \
  for (std::size_t step = 0; step < rows.steps; ++step) { \
    _tile_loadd(3, x, 64);                                \
    _tile_loadd(4, weights, 64);                          \
    _tile_dpbssd(HIGH, 3, 4);                             \
    _tile_loadd(4, weights + kTileBytes, 64);             \
    _tile_dpbsud(MIDDLE, 3, 4);                           \
    _tile_loadd(3, x + rows.low, 64);                     \
    _tile_dpbsud(LOW, 3, 4);                              \
    _tile_loadd(4, weights, 64);                          \
    _tile_dpbssd(MIDDLE, 3, 4);                           \
    weights += 2 * kTileBytes;                            \
    x += rows.step_stride;                                \
  }                                                       \
  _tile_stored(HIGH, sums.high, 64);                      \
  _tile_stored(MIDDLE, sums.middle, 64);                  \
  _tile_stored(LOW, sums.low, 64);

inline void multiply_even(const std::byte* weights, const std::int8_t* x, const QuantizedRows& rows, Sums& sums) {
  HEADWATER_MULTIPLY(0, 1, 2)
}
inline void multiply_odd(const std::byte* weights, const std::int8_t* x, const QuantizedRows& rows, Sums& sums) {
  HEADWATER_MULTIPLY(5, 6, 7)
}
#undef HEADWATER_MULTIPLY

/// 65536 · high + 256 · middle + low of row `r`, rounded to float as product_reference() does it.
inline __m512 join(const Sums& sums, std::size_t r) {
  const __m512i byte = _mm512_set1_epi32(0xFF);
  __m512i low = _mm512_load_si512(sums.low + 16 * r);
  const __m512i middle = _mm512_add_epi32(_mm512_load_si512(sums.middle + 16 * r), _mm512_srai_epi32(low, 8));
  const __m512i high = _mm512_add_epi32(_mm512_load_si512(sums.high + 16 * r), _mm512_srai_epi32(middle, 8));
  low = _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(middle, byte), 8), _mm512_and_si512(low, byte));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(65536), _mm512_cvtepi32_ps(low));
}

/// The results of `n` rows from `row` on.
void finish(const ProductTask& task, const PanelView& panel, const Sums& sums, std::size_t row, std::size_t n,
            __mmask16 kept, float* out, std::size_t stride) {
  const __m512 steps = _mm512_load_ps(panel.steps);
  for (std::size_t r = 0; r < n; ++r) {
    const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(join(sums, r), steps), _mm512_set1_ps(task.x->scales[row + r]));
    _mm512_mask_storeu_ps(out + r * stride, kept, scaled);
  }
}

template <PanelFormat kFormat>
void plain(const ProductTask& task) {
  const QuantizedRows& x = *task.x;
  auto* const sums = reinterpret_cast<Sums*>(task.scratch + 2 * x.steps * 2 * kTileBytes);
  for (std::size_t index = task.first_panel; index < task.end_panel; ++index) {
    const PanelView panel = view_panel(kFormat, task.panels + index * panel_bytes(kFormat, x.groups), x.groups);
    expand<kFormat>(panel, x.groups, task.scratch);
    const std::size_t column = index * kPanel;
    const std::size_t left = task.columns - column;
    const __mmask16 kept = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
    // A tile is finished while the next one is summed.
    for (std::size_t row = task.first_row, turn = 0; row < task.end_row + kTileRows; row += kTileRows, turn ^= 1U) {
      if (row < task.end_row) {
        turn == 0 ? multiply_even(task.scratch, x.at(row, 0), x, sums[0])
                  : multiply_odd(task.scratch, x.at(row, 0), x, sums[1]);
      }
      if (row == task.first_row) continue;
      const std::size_t before = row - kTileRows;
      const std::size_t n = task.end_row - before < kTileRows ? task.end_row - before : kTileRows;
      finish(task, panel, sums[turn ^ 1U], before, n, kept, task.out + before * task.columns + column, task.columns);
    }
  }
}

template <PanelFormat kFormat>
void gated(const ProductTask& task) {
  const QuantizedRows& x = *task.x;
  const std::size_t bytes = panel_bytes(kFormat, x.groups);
  std::byte* const up_weights = task.scratch + x.steps * 2 * kTileBytes;
  auto* const sums = reinterpret_cast<Sums*>(up_weights + x.steps * 2 * kTileBytes);
  auto* const values = reinterpret_cast<float*>(sums + 4);
  for (std::size_t index = task.first_panel; index < task.end_panel; ++index) {
    const PanelView gate = view_panel(kFormat, task.panels + index * bytes, x.groups);
    const PanelView up = view_panel(kFormat, task.panels + (index + task.columns / kPanel) * bytes, x.groups);
    expand<kFormat>(gate, x.groups, task.scratch);
    expand<kFormat>(up, x.groups, up_weights);
    for (std::size_t row = task.first_row, turn = 0; row < task.end_row + kTileRows; row += kTileRows, turn ^= 2U) {
      if (row < task.end_row) {
        multiply_even(task.scratch, x.at(row, 0), x, sums[turn]);
        multiply_odd(up_weights, x.at(row, 0), x, sums[turn + 1]);
      }
      if (row == task.first_row) continue;
      const std::size_t before = row - kTileRows;
      const std::size_t n = task.end_row - before < kTileRows ? task.end_row - before : kTileRows;
      finish(task, gate, sums[turn ^ 2U], before, n, 0xFFFF, values, 2 * kPanel);
      finish(task, up, sums[(turn ^ 2U) + 1], before, n, 0xFFFF, values + kPanel, 2 * kPanel);
      task.silu_mul(values, n, kPanel, task.out + before * task.columns + index * kPanel, task.columns);
    }
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  configure_whole_tiles();
  task.silu_mul == nullptr ? plain<kFormat>(task) : gated<kFormat>(task);
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
