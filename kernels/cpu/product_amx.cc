// AMX: tiles of 16 rows by 16 columns. Weights become numbers of 16 bits for as long as a panel is computed; the
// products of the high and low bytes of both sides are summed each by itself, over all of K, and joined at the end.

#include <immintrin.h>

#include "kernels/cpu/product.h"
#include "kernels/cpu/tile_config.h"

namespace headwater::kernels::cpu {
namespace {

void configure_whole_tiles() {
  const TileConfig config = kWholeTiles;
  asm volatile("" ::"r"(&config) : "memory");
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
  constexpr std::size_t kAhead = 16384;
  const std::byte* codes = panel.codes + group * code_bytes(kFormat);
  const __m512i factor = load_twice(panel.factors + group * kPanel);
  __m512i offset;
  if constexpr (kFormat == PanelFormat::nibbles) offset = load_twice(panel.offsets + group * kPanel);
  if constexpr (kFormat == PanelFormat::nibbles_minus_8) offset = _mm512_mullo_epi16(factor, _mm512_set1_epi16(-8));
  if constexpr (kFormat == PanelFormat::bytes_minus_128) offset = _mm512_mullo_epi16(factor, _mm512_set1_epi16(-128));
  for (std::size_t i = 0; i < code_bytes(kFormat); i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + i), _MM_HINT_T1);
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

/// The weights of some steps of K: for each a tile of high bytes and a tile of low ones.
template <PanelFormat kFormat>
void expand(const PanelView& panel, std::size_t groups, std::size_t first_step, std::size_t end_step,
            std::byte* tiles) {
  for (std::size_t step = first_step; step < end_step; ++step, tiles += 2 * kTileBytes) {
    // Without work the tile unit falls asleep within half a microsecond, and takes as long to wake.
    if (step % 2 == 1) _tile_dpbssd(7, 3, 5);
    expand_group<kFormat>(panel, 2 * step, tiles);
    if (2 * step + 1 < groups) {
      expand_group<kFormat>(panel, 2 * step + 1, tiles + kTileBytes / 2);
      continue;
    }
    for (std::size_t i = kTileBytes / 2; i < kTileBytes; i += 64) {
      _mm512_store_si512(tiles + i, _mm512_setzero_si512());
      _mm512_store_si512(tiles + kTileBytes + i, _mm512_setzero_si512());
    }
  }
  finish_stores();
}

/// The sums of a tile, [16][16] each: of high by high bytes, of high by low ones both ways, of low by low.
struct Sums {
  alignas(64) std::int32_t high[256], middle[256], low[256];
};

/// 65536 · high + 256 · middle + low of row `r`, rounded to float as product_reference() does it.
inline __m512 join(const Sums& sums, std::size_t r) {
  const __m512i byte = _mm512_set1_epi32(0xFF);
  __m512i low = _mm512_load_si512(sums.low + 16 * r);
  const __m512i middle = _mm512_add_epi32(_mm512_load_si512(sums.middle + 16 * r), _mm512_srai_epi32(low, 8));
  const __m512i high = _mm512_add_epi32(_mm512_load_si512(sums.high + 16 * r), _mm512_srai_epi32(middle, 8));
  low = _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(middle, byte), 8), _mm512_and_si512(low, byte));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(65536), _mm512_cvtepi32_ps(low));
}

/// A tile that has been summed, and where its results go.
struct Finish {
  const Sums* sums;
  const float* steps;   ///< of the columns
  const float* scales;  ///< of the rows
  float* out;
  std::size_t stride;
  __mmask16 columns;
  std::size_t next, rows;  ///< next: the first row that is not finished

  [[gnu::always_inline]] void row() {
    if (next == rows) return;
    const __m512 scaled =
        _mm512_mul_ps(_mm512_mul_ps(join(*sums, next), _mm512_load_ps(steps)), _mm512_set1_ps(scales[next]));
    _mm512_mask_storeu_ps(out + next * stride, columns, scaled);
    ++next;
  }
  [[gnu::always_inline]] void rest() {
    while (next < rows) row();
  }
};

/// Adds some steps of K to a tile's sums. The tile before is finished in between, while the tile unit is busy: row by
/// row, since the processor looks ahead only so far.
inline void multiply(const std::byte* weights, const std::int8_t* x, const QuantizedRows& rows, std::size_t steps,
                     bool first, Sums& sums, Finish& before) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
  } else {
    _tile_loadd(0, sums.high, 64);
    _tile_loadd(1, sums.middle, 64);
    _tile_loadd(2, sums.low, 64);
  }
  for (std::size_t step = 0; step < steps; ++step) {
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
    before.row();
    before.row();
  }
  before.rest();
  _tile_stored(0, sums.high, 64);
  _tile_stored(1, sums.middle, 64);
  _tile_stored(2, sums.low, 64);
}

/// One panel for all rows of the task. out: of first_row.
template <PanelFormat kFormat>
void multiply_panel(const ProductTask& task, std::size_t index, float* out, std::size_t stride, __mmask16 columns) {
  const QuantizedRows& x = *task.x;
  const PanelView panel = view_panel(kFormat, task.panels + index * panel_bytes(kFormat, x.groups), x.groups);
  auto* const sums = reinterpret_cast<Sums*>(task.scratch + kExpandedBytes);
  // As many steps at a time as leave room in the first-level cache.
  const std::size_t chunks = (x.steps + kExpandedSteps - 1) / kExpandedSteps;
  const std::size_t chunk = (x.steps + chunks - 1) / chunks;
  Finish before{};
  for (std::size_t first = 0; first < x.steps; first += chunk) {
    const std::size_t end = first + chunk < x.steps ? first + chunk : x.steps;
    expand<kFormat>(panel, x.groups, first, end, task.scratch);
    Sums* tile = sums;
    for (std::size_t row = task.first_row; row < task.end_row; row += kTileRows, ++tile) {
      multiply(task.scratch, x.at(row, first), x, end - first, first == 0, *tile, before);
      if (end < x.steps) continue;
      const std::size_t n = task.end_row - row < kTileRows ? task.end_row - row : kTileRows;
      before = {tile, panel.steps, x.scales + row, out, stride, columns, 0, n};
      out += kTileRows * stride;
    }
  }
  before.rest();
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  configure_whole_tiles();
  const std::size_t n = task.end_row - task.first_row;
  auto* const values = reinterpret_cast<float*>(task.scratch + gate_up_place(n));
  for (std::size_t index = task.first_panel; index < task.end_panel; ++index) {
    const std::size_t column = index * kPanel;
    const std::size_t left = task.columns - column;
    const __mmask16 columns = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
    float* const out = task.out + task.first_row * task.columns + column;
    if (task.silu_mul == nullptr) {
      multiply_panel<kFormat>(task, index, out, task.columns, columns);
    } else {
      multiply_panel<kFormat>(task, index, values, 2 * kPanel, columns);
      multiply_panel<kFormat>(task, index + task.columns / kPanel, values + kPanel, 2 * kPanel, columns);
      task.silu_mul(values, n, kPanel, out, task.columns);
    }
  }
  _tile_release();
}

}  // namespace

void product_amx(const ProductTask& task) {
  with_format(task.format, [&](auto format) { product<format.value>(task); });
}

}  // namespace headwater::kernels::cpu
