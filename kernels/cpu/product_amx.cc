// AMX: tiles of 16 rows by 16 columns. Weights become bytes for as long as a panel is computed: the high and the low
// ones and, of weights of 4 bits, coarse ones. Their products with the high and low bytes of the activations are summed
// over all of K by what they count for, and joined at the end.

#include <immintrin.h>

#include "kernels/cpu/panel_codes_avx512.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/silu_avx512.h"
#include "kernels/cpu/tile_config.h"

namespace headwater::kernels::cpu {
namespace {

/// A step of weights: a tile each of high bytes, low bytes and, if there are any, coarse weights.
template <PanelFormat kFormat>
constexpr bool kHasCoarse = has_nibbles(kFormat);
template <PanelFormat kFormat>
constexpr std::size_t kStepBytes = (kHasCoarse<kFormat> ? 3 : 2) * kTileBytes;

/// 16 numbers, twice each, as 32 lanes of 16 bits.
inline __m512i twice(const std::int16_t* numbers) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers)));
  return _mm512_or_si512(wide, _mm512_slli_epi32(wide, 16));
}

/// The numbers of a group, or of its half that begins with quad `first_quad` of K, likewise.
struct Numbers {
  __m512i factor, offset;
};
template <PanelFormat kFormat>
inline Numbers load_numbers(const PanelView& panel, std::size_t group, int first_quad) {
  const std::int16_t* numbers = panel.numbers + group * n_numbers(kFormat);
  if constexpr (kFormat == PanelFormat::nibbles) {
    const __m512i both = _mm512_load_si512(numbers);
    return {_mm512_unpacklo_epi16(both, both), _mm512_unpackhi_epi16(both, both)};
  }
  const bool second = kFormat == PanelFormat::sixes_two_factors && first_quad > 0;
  const __m512i factor = twice(numbers + (second ? to_second(kFormat) : 0));
  const int at_zero = kHasCoarse<kFormat> ? -1 : -middle(kFormat);
  __m512i offset = _mm512_mullo_epi16(factor, _mm512_set1_epi16(at_zero));
  if constexpr (kFormat == PanelFormat::sixes_and_offset) {
    offset = _mm512_add_epi16(offset, twice(numbers + to_second(kFormat)));
  }
  return {factor, offset};
}

/// What makes weights of a group's codes.
template <PanelFormat kFormat>
struct Expander {
  __m512i factor, offset;                ///< W = factor · q + offset
  __m512i coarse_factor, coarse_offset;  ///< the former's magnitude in 16 bits, the latter in bytes
  __mmask64 negative;                    ///< where the coarse factor is

  /// Of the group's quads from `first_quad` on: 0, or 4 where the last half has a factor of its own.
  Expander(const PanelView& panel, std::size_t group, int first_quad) {
    const Numbers numbers = load_numbers<kFormat>(panel, group, first_quad);
    factor = numbers.factor;
    offset = numbers.offset;
    if constexpr (!kHasCoarse<kFormat>) return;
    const __m512i half = _mm512_set1_epi16(128);
    const __m512i middle = _mm512_set1_epi16(kMiddle);
    const __m512i centre = numbers.offset;
    const __m512i coarse = _mm512_srai_epi16(_mm512_add_epi16(factor, half), 8);
    const __m512i coarse_centre = _mm512_srai_epi16(_mm512_add_epi16(centre, half), 8);
    offset = _mm512_sub_epi16(centre, _mm512_mullo_epi16(factor, middle));
    const __m512i at_zero = _mm512_sub_epi16(coarse_centre, _mm512_mullo_epi16(coarse, middle));
    coarse_offset = _mm512_or_si512(_mm512_and_si512(at_zero, _mm512_set1_epi16(0xFF)), _mm512_slli_epi16(at_zero, 8));
    coarse_factor = coarse;
    if constexpr (kFormat == PanelFormat::nibbles_minus_8) {
      coarse_factor = _mm512_abs_epi16(coarse);
      const __mmask32 words = _mm512_movepi16_mask(coarse);
      negative = _mm512_movepi8_mask(_mm512_movm_epi16(words));
    }
  }

  /// Codes of a quad of K to the rows of the step's tiles.
  [[gnu::always_inline]] void quad(__m512i codes, std::byte* tile) const {
    constexpr __mmask64 kOdd = 0xAAAAAAAAAAAAAAAA;
    const __m512i even = _mm512_and_si512(codes, _mm512_set1_epi16(0xFF));
    const __m512i odd = _mm512_srli_epi16(codes, 8);
    const __m512i even_weights = _mm512_add_epi16(_mm512_mullo_epi16(even, factor), offset);
    const __m512i odd_weights = _mm512_add_epi16(_mm512_mullo_epi16(odd, factor), offset);
    _mm512_store_si512(tile, _mm512_mask_mov_epi8(_mm512_srli_epi16(even_weights, 8), kOdd, odd_weights));
    _mm512_store_si512(tile + kTileBytes, _mm512_mask_mov_epi8(even_weights, kOdd, _mm512_slli_epi16(odd_weights, 8)));
    if constexpr (kHasCoarse<kFormat>) {
      // Both codes of 16 bits at once: neither product has more than 8.
      const __m512i products = _mm512_mullo_epi16(codes, coarse_factor);
      __m512i weights = _mm512_add_epi8(coarse_offset, products);
      if constexpr (kFormat == PanelFormat::nibbles_minus_8) {
        weights = _mm512_mask_sub_epi8(weights, negative, coarse_offset, products);
      }
      _mm512_store_si512(tile + 2 * kTileBytes, weights);
    }
  }
};

template <PanelFormat kFormat>
void expand_group(const PanelView& panel, std::size_t group, std::byte* tile, PanelStream& ahead) {
  const std::byte* codes = panel.codes + group * code_bytes(kFormat);
  ahead.ask();
  if constexpr (!has_nibbles(kFormat)) {
    constexpr int kRun = kFormat == PanelFormat::sixes_two_factors ? 4 : 8;  // quads that share a factor
    for (int run = 0; run < 8; run += kRun) {
      const Expander<kFormat> expander(panel, group, run);
      for (int i = run; i < run + kRun; ++i) expander.quad(load_quad<kFormat>(codes, i), tile + 64 * i);
    }
  } else {
    const Expander<kFormat> expander(panel, group, 0);
    const __m512i low = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m512i both = _mm512_load_si512(codes + 64 * i);
      expander.quad(_mm512_and_si512(both, low), tile + 64 * i);
      expander.quad(_mm512_and_si512(_mm512_srli_epi16(both, 4), low), tile + 64 * (i + 4));
    }
  }
}

/// The weights of some steps of K.
template <PanelFormat kFormat>
void expand(const PanelView& panel, std::size_t groups, std::size_t first_step, std::size_t end_step, std::byte* tiles,
            PanelStream& ahead) {
  for (std::size_t step = first_step; step < end_step; ++step, tiles += kStepBytes<kFormat>) {
    // Without work the tile unit falls asleep within half a microsecond, and takes as long to wake.
    if (step % 2 == 1) _tile_dpbssd(7, 5, 6);
    expand_group<kFormat>(panel, 2 * step, tiles, ahead);
    if (2 * step + 1 < groups) {
      expand_group<kFormat>(panel, 2 * step + 1, tiles + kTileBytes / 2, ahead);
      continue;
    }
    for (std::size_t tile = 0; tile < kStepBytes<kFormat>; tile += kTileBytes) {
      for (std::size_t i = kTileBytes / 2; i < kTileBytes; i += 64) {
        _mm512_store_si512(tiles + tile + i, _mm512_setzero_si512());
      }
    }
  }
  finish_stores();
}

/// The sums of a tile, [16][16] each, by what they count for: 65536, 256 and, without coarse weights, 1.
struct Sums {
  alignas(64) std::int32_t high[256], middle[256], low[256];
};

/// How sums become whole numbers of 32 bits.
struct Shifts {
  __m128i left, right;
};

/// floor(sum / 2^(8 + sum_shift)) of row `r`, as a float.
template <PanelFormat kFormat>
inline __m512 join(const Sums& sums, std::size_t r, const Shifts& shifts) {
  __m512i middle = _mm512_load_si512(sums.middle + 16 * r);
  if constexpr (!kHasCoarse<kFormat>) {
    middle = _mm512_add_epi32(middle, _mm512_srai_epi32(_mm512_load_si512(sums.low + 16 * r), 8));
  }
  const __m512i high = _mm512_sll_epi32(_mm512_load_si512(sums.high + 16 * r), shifts.left);
  return _mm512_cvtepi32_ps(_mm512_add_epi32(high, _mm512_sra_epi32(middle, shifts.right)));
}

/// Tiles of one panel that have been summed, and where their results go.
template <PanelFormat kFormat>
struct Finish {
  const Sums* sums;     ///< of each tile
  const float* steps;   ///< of the columns
  const float* scales;  ///< of the rows
  const float* gate;    ///< [rows][16], or null: results are silu(gate) times these
  float* out;
  std::size_t stride;
  __mmask16 columns;
  Shifts shifts;
  std::size_t next, rows;  ///< next: the first row that is not finished

  [[gnu::always_inline]] void row() {
    if (next == rows) return;
    const __m512 sum = join<kFormat>(sums[next / kTileRows], next % kTileRows, shifts);
    __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(sum, _mm512_load_ps(steps)), _mm512_set1_ps(scales[next]));
    if (gate != nullptr) scaled = silu_mul(_mm512_load_ps(gate + next * kPanel), scaled);
    // A masked store is slower even where it stores all.
    if (columns == 0xFFFF) {
      _mm512_storeu_ps(out + next * stride, scaled);
    } else {
      _mm512_mask_storeu_ps(out + next * stride, columns, scaled);
    }
    ++next;
  }
  [[gnu::always_inline]] void rest() {
    while (next < rows) row();
  }
};

/// Adds some steps of K to the sums of one or two tiles of rows. The tiles before are finished just before these are
/// stored: by then they are out of the way of the processor, which has been busy with tiles. Two tiles share the
/// weights, which stay in the first-level cache; the activations come from the second and would only drive them out.
template <PanelFormat kFormat, int kTiles>
inline void multiply(const std::byte* weights, const std::int8_t* x, const QuantizedRows& rows, std::size_t steps,
                     bool first, Sums* sums, Finish<kFormat>& before, PanelStream& ahead) {
  static_assert(kTiles == 1 || kHasCoarse<kFormat>, "two tiles of three sums leave too few registers");
  constexpr bool kLow = !kHasCoarse<kFormat>;
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kLow || kTiles == 2) _tile_zero(2);
    if constexpr (kTiles == 2) _tile_zero(3);
  } else {
    _tile_loadd(0, sums[0].high, 64);
    _tile_loadd(1, sums[0].middle, 64);
    if constexpr (kLow) _tile_loadd(2, sums[0].low, 64);
    if constexpr (kTiles == 2) {
      _tile_loadd(2, sums[1].high, 64);
      _tile_loadd(3, sums[1].middle, 64);
    }
  }
  for (std::size_t step = 0; step < steps; ++step) {
    _tile_loadd(4, weights, 64);
    _tile_stream_loadd(5, x, 64);
    _tile_dpbssd(0, 5, 4);
    if constexpr (kTiles == 2) {
      _tile_stream_loadd(6, x + rows.tile_stride, 64);
      _tile_dpbssd(2, 6, 4);
    }
    _tile_loadd(7, weights + kTileBytes, 64);
    _tile_dpbsud(1, 5, 7);
    if constexpr (kTiles == 2) _tile_dpbsud(3, 6, 7);
    _tile_stream_loadd(5, x + rows.low, 64);
    if constexpr (kLow) {
      _tile_dpbssd(1, 5, 4);
      _tile_dpbsud(2, 5, 7);
    } else {
      _tile_loadd(4, weights + 2 * kTileBytes, 64);
      _tile_dpbssd(1, 5, 4);
      if constexpr (kTiles == 2) {
        _tile_stream_loadd(6, x + rows.tile_stride + rows.low, 64);
        _tile_dpbssd(3, 6, 4);
      }
    }
    weights += kStepBytes<kFormat>;
    x += rows.step_stride;
    ahead.ask();
  }
  before.rest();
  _tile_stored(0, sums[0].high, 64);
  _tile_stored(1, sums[0].middle, 64);
  if constexpr (kLow) _tile_stored(2, sums[0].low, 64);
  if constexpr (kTiles == 2) {
    _tile_stored(2, sums[1].high, 64);
    _tile_stored(3, sums[1].middle, 64);
  }
}

/// One panel for all rows of the task.
template <PanelFormat kFormat>
void multiply_panel(const ProductTask& task, std::size_t index, const PanelResults& results) {
  auto [out, stride, columns, gate] = results;
  constexpr std::size_t kTiles = kHasCoarse<kFormat> ? 2 : 1;
  const QuantizedRows& x = *task.x;
  const std::size_t bytes = panel_bytes(kFormat, x.groups);
  const PanelView panel = view_panel(kFormat, task.panels + index * bytes, x.groups);
  const std::size_t passes = (task.end_row - task.first_row + kTiles * kTileRows - 1) / (kTiles * kTileRows);
  PanelStream ahead(*task.weights, bytes, PanelStream::at_once(bytes, (passes + 2) * x.steps));
  const int shift = sum_shift(x.groups * kGroup);
  const Shifts shifts = {_mm_cvtsi32_si128(8 - shift), _mm_cvtsi32_si128(shift)};
  // As many steps at a time as leave room in the first-level cache.
  const std::size_t chunks = (x.steps + kExpandedSteps - 1) / kExpandedSteps;
  const std::size_t chunk = (x.steps + chunks - 1) / chunks;
  Finish<kFormat> before{};
  for (std::size_t first = 0; first < x.steps; first += chunk) {
    const std::size_t end = first + chunk < x.steps ? first + chunk : x.steps;
    expand<kFormat>(panel, x.groups, first, end, task.scratch, ahead);
    auto* sums = reinterpret_cast<Sums*>(task.scratch + kExpandedBytes);
    for (std::size_t row = task.first_row; row < task.end_row; row += kTiles * kTileRows) {
      const std::size_t left = task.end_row - row;
      const std::int8_t* from = x.at(row, first);
      if (kTiles == 2 && left > kTileRows) {
        multiply<kFormat, kTiles>(task.scratch, from, x, end - first, first == 0, sums, before, ahead);
      } else {
        multiply<kFormat, 1>(task.scratch, from, x, end - first, first == 0, sums, before, ahead);
      }
      if (end == x.steps) {
        const std::size_t n = left < kTiles * kTileRows ? left : kTiles * kTileRows;
        before = {sums, panel.steps, x.scales + row, gate, out, stride, columns, shifts, 0, n};
        out += kTiles * kTileRows * stride;
        if (gate != nullptr) gate += kTiles * kTileRows * kPanel;
      }
      if (chunks > 1) sums += kTiles;  // otherwise those that have just been read may be written
    }
  }
  before.rest();
}

}  // namespace

void product_amx(const ProductTask& task) {
  load_tile_config(kWholeTiles);
  with_format(task.format, [&](auto format) {
    for_each_panel(task, [&](std::size_t index, const PanelResults& results) {
      multiply_panel<format.value>(task, index, results);
    });
  });
  _tile_release();
}

}  // namespace headwater::kernels::cpu
