#pragma once
// What attention by AMX does once there are scores: weights out of them, and values summed by weight, in bfloat16.
// Two tiles of 16 rows share each tile of values. For the files that make scores, each of its own kind of cache.
//
// Products and exponentials follow each other in phases: while tile instructions are under way, one of the two units
// for 512-bit vectors stands still, so that nothing is gained by mixing them.

#include <immintrin.h>

#include "kernels/cpu/attention_bf16.h"
#include "kernels/cpu/tile_config.h"

namespace headwater::kernels::cpu::attention_tiles {

using namespace attention_bf16;  // NOLINT: its groups are as deep as a tile

inline constexpr std::size_t kTileRows = 16;
inline constexpr std::size_t kStepDims = 32;  // of values: two tiles

/// Tiles 0 … 3 are results, 4 and 5 rows of the left factor, 6 and 7 the right one.
inline void configure(std::size_t rows) {
  TileConfig config = kWholeTiles;
  for (int tile = 0; tile < 6; ++tile) config.rows[tile] = static_cast<std::uint8_t>(rows);
  load_tile_config(config);
}

/// Up to kPairedRows rows of a call, from `first_row` on.
struct Part {
  const QueryRows* rows;
  const Split* split;
  const Gathered* result;
  std::size_t first_row, n_rows;
  std::byte* scores;      ///< [32 rows] kRowBytes apart: floats, then from its start on weights, bfloat16
  std::byte* cut_values;  ///< [16 pairs][head_dim][2]: room for the last tokens
  std::size_t n_groups;   ///< of 32 tokens
};
/// Bytes of what a Part points to.
inline std::size_t part_bytes(std::size_t head_dim) {
  return kPairedRows * kRowBytes + kGroupTokens * head_dim * sizeof(std::uint16_t);
}

/// Asks for the 16 rows of a tile: several rows of queries make such use of each that the second-level cache is what
/// they would wait for.
inline void prefetch_tile(const std::uint16_t* tile, std::size_t stride) {
  const auto* bytes = reinterpret_cast<const char*>(tile);
#pragma GCC unroll 16
  for (std::size_t row = 0; row < kTileRows; ++row) _mm_prefetch(bytes + row * stride, _MM_HINT_T0);
}

/// Queries are multiplied by it, so that scores, rounded, are whole numbers: multiples of 1/512.
inline constexpr float kScoreUnits = 512;
/// Weights are 2^score, of scores from 128 below it on: no row has to know its greatest score first.
inline constexpr int kCeiling = 56;
/// Sums of weights outside: of rows whose scores lie beyond, so that some were cut off; or there is a NaN.
inline constexpr float kLeastTotal = 0x1p-48F;
inline constexpr float kGreatestTotal = 0x1p55F;

/// What the bits of 2^-f, put together as if it were linear in f, exceed it by, for 128 parts of f in [0, 1), in
/// multiples of 1/512; and one, for rounding.
struct Bends {
  alignas(64) std::uint8_t parts[128];
};
constexpr Bends bends() {
  constexpr double kStep = 0.99459942348363318;  // 2^(-1/128)
  double power = 1.9959427117102393;             // 2 * 2^(-1.5/512): a part has four multiples, and this is its middle
  Bends result{};
  for (int i = 0; i < 128; ++i, power *= kStep) {
    const double linear = 2 - (4 * i + 1.5) / 512;
    result.parts[i] = static_cast<std::uint8_t>((linear - power) * 512 + 1.5);
  }
  return result;
}
inline constexpr Bends kBends = bends();

/// 2^score to 6e-3, of 32 scores, by whole numbers of 16 bits: the rounding to bfloat16 alone is off by up to 4e-3.
/// Of what is no score, an infinity or a NaN, it is 2^kCeiling.
struct PowersOf {
  __m512i operator()(const float* scores) const {
    const __m512i ceiling = _mm512_set1_epi32(kCeiling * 512);
    // A NaN becomes the least number of 32 bits; less what is positive it wraps around to a number below zero.
    const __m512i low = _mm512_sub_epi32(ceiling, _mm512_cvtps_epi32(_mm512_load_ps(scores)));
    const __m512i high = _mm512_sub_epi32(ceiling, _mm512_cvtps_epi32(_mm512_load_ps(scores + 16)));
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);  // packing goes by 128 bits
    const __m512i below = _mm512_permutexvar_epi64(order, _mm512_packus_epi32(low, high));
    const __m512i bend =
        _mm512_maskz_permutex2var_epi8(0x5555555555555555, _mm512_load_si512(kBends.parts), _mm512_srli_epi16(below, 2),
                                       _mm512_load_si512(kBends.parts + 64));
    const __m512i bits = _mm512_srli_epi16(_mm512_adds_epu16(below, bend), 2);
    return _mm512_sub_epi16(_mm512_set1_epi16((127 + kCeiling) << 7), bits);
  }
};

/// What a row comes to, 16 lanes that are to be joined; the rows of a tile one after the other.
struct Lanes {
  alignas(64) float rows[kTileRows][16];
};
/// Lane r of the result is the sum of row r.
inline __m512 sum_rows(const Lanes& lanes) {
  __m512 fours[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_load_ps(lanes.rows[4 * i]);
    const __m512 b = _mm512_load_ps(lanes.rows[4 * i + 1]);
    const __m512 c = _mm512_load_ps(lanes.rows[4 * i + 2]);
    const __m512 d = _mm512_load_ps(lanes.rows[4 * i + 3]);
    const __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
    const __m512d cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
    fours[i] =
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  }
  // Each 128 bits of fours[i] hold a part of rows 4 i … 4 i + 3.
  const auto halves = [](__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
  };
  const __m512 first = halves(fours[0], fours[1]);
  const __m512 last = halves(fours[2], fours[3]);
  return halves(first, last);
}

/// Weights of which the greatest is one: for rows whose scores have no place below kCeiling.
inline __m512i powers_below(const float* scores, float greatest) {
  const __m512 unit = _mm512_set1_ps(1 / kScoreUnits);
  const __m512 most = _mm512_set1_ps(greatest);
  return bf16_powers(_mm512_fmsub_ps(_mm512_load_ps(scores), unit, most),
                     _mm512_fmsub_ps(_mm512_load_ps(scores + 16), unit, most));
}

/// The unit for tiles falls asleep after some 0.3 us without work, and takes as long to wake up again.
inline constexpr std::size_t kRowsBetweenTiles = 8;
inline void keep_tiles_awake() { _tile_dpbf16ps(3, 4, 6); }

/// The sums of one or two tiles of rows and 16 or 32 dimensions.
template <int kTiles, int kColumns>
inline void mix_dims(const Part& part, const std::uint16_t* const* values, std::size_t dim) {
  const std::size_t stride = part.rows->head_dim * 4;
  const std::byte* weights = part.scores;
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTiles == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::size_t group = 0; group < part.n_groups; ++group) {
    _tile_loadd(4, weights + group * 64, kRowBytes);
    _tile_loadd(6, values[group] + dim * 2, stride);
    if (kTiles == 2 && group + 1 < part.n_groups) {
      prefetch_tile(values[group + 1] + dim * 2, stride);
      if constexpr (kColumns == 2) prefetch_tile(values[group + 1] + (dim + kTileRows) * 2, stride);
    }
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kColumns == 2) {
      _tile_loadd(7, values[group] + (dim + kTileRows) * 2, stride);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTiles == 2) {
      _tile_loadd(5, weights + kTileRows * kRowBytes + group * 64, kRowBytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kColumns == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  float* sums = part.result->sums + part.first_row * part.rows->head_dim + dim;
  _tile_stored(0, sums, stride);
  if constexpr (kColumns == 2) _tile_stored(1, sums + kTileRows, stride);
  if constexpr (kTiles == 2) {
    sums += kTileRows * part.rows->head_dim;
    _tile_stored(2, sums, stride);
    if constexpr (kColumns == 2) _tile_stored(3, sums + kTileRows, stride);
  }
}

/// Values of 32 tokens of which only `seen` exist: zero times what lies in the others might be a NaN.
inline const std::uint16_t* cut_values(const std::uint16_t* values, std::size_t seen, std::size_t head_dim,
                                       std::byte* out) {
  for (std::size_t pair = 0; pair < kGroupTokens / 2; ++pair) {
    const std::uint16_t* from = values + pair * head_dim * 2;
    const std::size_t left = seen > 2 * pair ? seen - 2 * pair : 0;
    const auto kept = static_cast<__mmask32>(left >= 2 ? 0xFFFFFFFFU : left == 1 ? 0x55555555U : 0U);
    for (std::size_t i = 0; i < head_dim * 2; i += 32) {
      _mm512_storeu_si512(out + (pair * head_dim * 2 + i) * 2, _mm512_maskz_loadu_epi16(kept, from + i));
    }
  }
  return reinterpret_cast<const std::uint16_t*>(out);
}

/// All rows' scores become weights. Gives the rows, a bit each, whose scores lie too high or too low for that.
inline std::uint32_t weigh_rows(const Part& part) {
  const std::uint32_t* seen = part.split->seen + part.first_row;
  std::uint32_t beyond = 0;
  Lanes lanes;
  for (std::size_t first = 0; first < part.n_rows; first += kTileRows) {
    const std::size_t n = least(part.n_rows - first, kTileRows);
    for (std::size_t r = 0; r < n; ++r) {
      std::byte* scores = part.scores + (first + r) * kRowBytes;
      _mm512_store_ps(lanes.rows[r], weigh(scores, seen[first + r], part.n_groups, PowersOf{}));
      if (r % kRowsBetweenTiles == kRowsBetweenTiles - 1) keep_tiles_awake();
    }
    const __m512 totals = sum_rows(lanes);
    const __mmask16 used = first_lanes(n);
    _mm512_mask_storeu_ps(part.result->most + part.first_row + first, used, _mm512_setzero_ps());
    _mm512_mask_storeu_ps(part.result->total + part.first_row + first, used, totals);
    const __mmask16 within = _mm512_cmp_ps_mask(totals, _mm512_set1_ps(kLeastTotal), _CMP_GE_OQ) &
                             _mm512_cmp_ps_mask(totals, _mm512_set1_ps(kGreatestTotal), _CMP_LT_OQ);
    const __m512i tokens = _mm512_maskz_loadu_epi32(used, seen + first);
    beyond |= (_mm512_test_epi32_mask(tokens, tokens) & ~std::uint32_t{within}) << first;
  }
  return beyond;
}

/// The same once more, out of scores made anew: the rows `beyond` get weights below their greatest score.
inline void weigh_beyond(const Part& part, std::uint32_t beyond) {
  for (std::size_t r = 0; r < part.n_rows; ++r) {
    std::byte* row = part.scores + r * kRowBytes;
    const std::size_t seen = part.split->seen[part.first_row + r];
    if ((beyond >> r & 1U) == 0) {
      weigh(row, seen, part.n_groups, PowersOf{});
      continue;
    }
    const float most = greatest_of(reinterpret_cast<const float*>(row), seen) / kScoreUnits;
    const auto powers = [most](const float* scores) { return powers_below(scores, most); };
    part.result->total[part.first_row + r] = _mm512_reduce_add_ps(weigh(row, seen, part.n_groups, powers));
    part.result->most[part.first_row + r] = most;
  }
}

/// Rows of a part. Source: `score<kTiles>(part)` leaves scores times kScoreUnits in part.scores; after make_values(),
/// `values` is what has_trap() takes.
template <int kTiles, class Source>
void gather_part(Part& part, Source& source) {
  const QueryRows& rows = *part.rows;
  const std::size_t seen = part.split->seen[part.first_row + part.n_rows - 1];
  part.n_groups = (seen + kGroupTokens - 1) / kGroupTokens;
  source.template score<kTiles>(part);
  if (const std::uint32_t beyond = weigh_rows(part); beyond != 0) {
    source.template score<kTiles>(part);
    weigh_beyond(part, beyond);
  }
  source.make_values();
  const std::uint16_t* values[kSplitTokens / kGroupTokens];
  for (std::size_t group = 0; group < part.n_groups; ++group) values[group] = source.values[group];
  if (seen % kGroupTokens != 0) {
    const std::uint16_t*& last = values[part.n_groups - 1];
    last = cut_values(last, seen % kGroupTokens, rows.head_dim, part.cut_values);
  }
  finish_stores();
  std::size_t dim = 0;
  for (; dim + kStepDims <= rows.head_dim; dim += kStepDims) mix_dims<kTiles, 2>(part, values, dim);
  if (dim < rows.head_dim) mix_dims<kTiles, 1>(part, values, dim);
}

/// All rows. memory: [part_bytes(head_dim)], 64-byte aligned.
template <class Source>
void gather_rows(const QueryRows& rows, const Split& split, const Gathered& result, std::byte* memory, Source& source) {
  Part part{&rows, &split, &result, 0, rows.n_rows, memory, memory + kPairedRows * kRowBytes, 0};
  configure(least(rows.n_rows, kTileRows));
  finish_stores();
  if (split.seen[0] != split.seen[rows.n_rows - 1]) {
    source.make_values();
    if (has_trap(rows, split, source.values)) {
      configure(1);
      part.n_rows = 1;
      for (; part.first_row < rows.n_rows; ++part.first_row) {
        if (split.seen[part.first_row] > 0) gather_part<1>(part, source);
      }
      return;
    }
  }
  for (; part.first_row < rows.n_rows; part.first_row += kPairedRows) {
    part.n_rows = least(rows.n_rows - part.first_row, kPairedRows);
    if (split.seen[part.first_row + part.n_rows - 1] == 0) continue;
    part.n_rows <= kTileRows ? gather_part<1>(part, source) : gather_part<2>(part, source);
  }
}

}  // namespace headwater::kernels::cpu::attention_tiles
