#pragma once
// How a quantised cache gets into AMX tiles: where queries, scores, weights and codes lie in a task's scratch memory,
// which codes tiles take from the arena as they lie and which are spread to bytes first, and products of both with the
// planes of bytes of queries or weights. Only for attention_quantized_amx.cc, which says what the planes are.

#include <immintrin.h>

#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/tile_config.h"

namespace headwater::kernels::cpu::quantized_tiles {

inline constexpr std::size_t kTileRows = 16;
inline constexpr std::size_t kTileTokens = 16;  // of keys: the width of a tile
inline constexpr std::size_t kTileDims = 16;    // of values: the width
inline constexpr std::size_t kDepth = 64;       // of either: dimensions or tokens of a tile
inline constexpr std::size_t kLine = 64;
inline constexpr std::size_t kMostDims = 256;
/// Rows of scores and of weights, and a cache line more, so that the rows of a tile lie in different sets of the cache.
inline constexpr std::size_t kScoreBytes = kSplitTokens * sizeof(float) + kLine;
inline constexpr std::size_t kWeightBytes = kSplitTokens + kLine;

inline std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }
inline std::size_t greater(std::size_t a, std::size_t b) { return a < b ? b : a; }

/// How many tiles the planes of some rows fill: 1, 2 or 4.
inline std::size_t planes_of(std::size_t n_rows) { return n_rows <= kTileRows / 2 ? 1 : n_rows <= kTileRows ? 2 : 4; }
/// Where the planes of a row lie among the rows of those tiles.
template <int kPlanes>
inline std::size_t upper_row(std::size_t row) {
  return kPlanes < 4 ? row : row / kTileRows * 2 * kTileRows + row % kTileRows;
}
template <int kPlanes>
inline std::size_t lower_row(std::size_t row, std::size_t n_rows) {
  return kPlanes == 1 ? row + n_rows : upper_row<kPlanes>(row) + kTileRows;
}

/// Scores are made of whole numbers for so many tokens at once.
template <int kPlanes>
constexpr std::size_t kChunkTokens = kPlanes == 1 ? kSplitTokens : 64;

// Tiles 0 … 3 are results, 4 and 7 left factors, 5 and 6 right ones.
inline void configure(std::size_t rows, std::size_t depth) {
  TileConfig config = kWholeTiles;
  for (int tile = 0; tile < 8; ++tile) {
    const bool right = tile == 5 || tile == 6;
    config.rows[tile] = static_cast<std::uint8_t>(right ? depth / 4 : rows);
    if (tile == 4 || tile == 7) config.row_bytes[tile] = static_cast<std::uint16_t>(depth);
  }
  load_tile_config(config);
}
/// For the planes of so many rows.
inline void configure_planes(std::size_t n_rows, std::size_t depth) {
  configure(n_rows <= kTileRows / 2 ? 2 * n_rows : kTileRows, depth);
}

/// The unit for tiles falls asleep after some 0.3 us without work, and takes as long to wake up again.
inline void keep_tiles_awake() { _tile_dpbsud(3, 4, 5); }

/// Where the parts of the scratch memory lie.
struct Scratch {
  float* query_scales;  ///< [kMaxRows]
  float* query_sums;    ///< [kMaxRows], in units of the scale
  float* parameters;    ///< [4][kSplitTokens], by CodeParameter
  std::byte* queries;   ///< [tiles of planes][steps of head_dim][16 rows][64]
  std::byte* scores;    ///< [32 rows] kScoreBytes apart: floats
  std::byte* weights;   ///< [64 rows of planes] kWeightBytes apart
  std::byte* sums;      ///< [64 rows of planes] of whole numbers, as far apart as their use wants
  std::byte* codes;     ///< a split's keys, spread to bytes, and then its values: little enough for the nearest cache
};
inline std::size_t steps_of(std::size_t head_dim) { return (head_dim + kDepth - 1) / kDepth; }
inline std::size_t sum_bytes(std::size_t head_dim) { return greater(head_dim, kDepth) * sizeof(std::int32_t) + kLine; }

inline Scratch parts(std::byte* scratch, std::size_t head_dim) {
  Scratch result;
  result.query_scales = reinterpret_cast<float*>(scratch);
  result.query_sums = result.query_scales + kMaxRows;
  result.parameters = result.query_sums + kMaxRows;
  result.queries = reinterpret_cast<std::byte*>(result.parameters + 4 * kSplitTokens);
  result.scores = result.queries + 4 * steps_of(head_dim) * kTileBytes;
  result.weights = result.scores + kMaxRows * kScoreBytes;
  result.sums = result.weights + 4 * kTileRows * kWeightBytes;
  result.codes = result.sums + 4 * kTileRows * sum_bytes(head_dim);
  return result;
}
inline std::size_t scratch_bytes(std::size_t head_dim) {
  const Scratch all = parts(nullptr, head_dim);
  return static_cast<std::size_t>(all.codes - static_cast<std::byte*>(nullptr)) +
         kSplitTokens * steps_of(head_dim) * kDepth;
}

/// A call.
struct Work {
  const QueryRows& rows;
  const Split& split;
  const Gathered& result;
  Scratch scratch;
  CodeLayout layout;
  std::size_t seen;  ///< by the last row

  // block_tokens is a power of two, and dividing by a number that is not known takes long.
  unsigned block_shift = static_cast<unsigned>(__builtin_ctzll(rows.block_tokens));
  std::size_t block_index(std::size_t token) const { return token >> block_shift; }
  std::size_t slot(std::size_t token) const { return token & (rows.block_tokens - 1); }
  const std::byte* block(std::size_t token) const {
    return reinterpret_cast<const std::byte*>(split.blocks[block_index(token)]);
  }
};

inline void prefetch_part(const Work& work, std::size_t i) { prefetch_next(work.rows, work.split, work.layout.end, i); }

/// Both halves of each of 64 bytes, as bytes.
inline void spread(const std::byte* packed, std::byte* low, std::byte* high) {
  const __m512i mask = _mm512_set1_epi8(0x0F);
  const __m512i both = _mm512_loadu_si512(packed);
  _mm512_store_si512(low, _mm512_and_si512(both, mask));
  _mm512_store_si512(high, _mm512_and_si512(_mm512_srli_epi16(both, 4), mask));
}

/// Keys that tiles cannot take from the arena: [16 tokens] [quads of dimensions][16 tokens][4].
inline void spread_keys(const Work& work) {
  const std::size_t block_tokens = work.rows.block_tokens;
  const std::size_t run = least(block_tokens, kDepth);  // tokens side by side
  const std::size_t quads = work.rows.head_dim / 4;
  const std::size_t tile_bytes = steps_of(work.rows.head_dim) * kTileBytes;
  for (std::size_t t = 0; t < work.seen; t += run) {
    const std::byte* keys = work.block(t) + work.slot(t) * 4;
    std::byte* out = work.scratch.codes + t / kTileTokens * tile_bytes;
    if (work.rows.key_bits == 4) {
      const std::size_t second = quads / 2 * kLine;
      for (std::size_t q = 0; q < quads / 2; ++q, keys += block_tokens * 4, out += kLine) {
        for (std::size_t i = 0; i < run / kTileTokens; ++i) {
          spread(keys + i * kLine, out + i * tile_bytes, out + i * tile_bytes + second);
        }
      }
    } else {
      for (std::size_t q = 0; q < quads; ++q, keys += block_tokens * 4, out += kLine) {
        for (std::size_t i = 0; i < run / kTileTokens; ++i) {
          _mm512_store_si512(out + i * tile_bytes, _mm512_loadu_si512(keys + i * kLine));
        }
      }
    }
  }
}

/// Asks for keys that tiles take from the arena, of tokens [first, first + kDepth).
inline void prefetch_keys(const Work& work, std::size_t first) {
  const std::size_t block_tokens = work.rows.block_tokens;
  const std::size_t run = least(block_tokens, kDepth);
  for (std::size_t t = first; t < least(first + kDepth, work.seen); t += run) {
    const auto* keys = reinterpret_cast<const char*>(work.block(t)) + work.slot(t) * 4;
    for (std::size_t q = 0; q < work.rows.head_dim / 4; ++q, keys += block_tokens * 4) {
      for (std::size_t i = 0; i < run * 4; i += kLine) _mm_prefetch(keys + i, _MM_HINT_T0);
    }
  }
}

/// Values of 4 bits: [quads of tokens][head_dim][4].
inline void spread_values(const Work& work) {
  const std::size_t row_bytes = work.rows.head_dim * 4;
  std::byte* out = work.scratch.codes;
  for (std::size_t first = 0; first < work.seen; first += work.rows.block_tokens) {
    const std::byte* values = work.block(first) + work.layout.values;
    const std::size_t tokens = least(work.rows.block_tokens, work.seen - first);
    for (std::size_t t = 0; t < tokens; t += 8, values += row_bytes, out += 2 * row_bytes) {
      for (std::size_t i = 0; i < row_bytes; i += kLine) spread(values + i, out + i, out + row_bytes + i);
    }
  }
}

/// What tiles read, row after row `stride` bytes apart.
struct TileSource {
  const std::byte* first;
  std::size_t stride;
};
/// Keys of 16 tokens from t on, 64 dimensions from 64 * step on.
struct Keys {
  const Work& work;
  bool direct;
  TileSource tile(std::size_t t, std::size_t step) const {
    const std::size_t block_tokens = work.rows.block_tokens;
    if (!direct) {
      const std::size_t place = t / kTileTokens * steps_of(work.rows.head_dim) + step;
      return {work.scratch.codes + place * kTileBytes, kLine};
    }
    return {work.block(t) + (step * kTileRows * block_tokens + work.slot(t)) * 4, block_tokens * 4};
  }
};
/// Values of `depth` tokens from depth * step on, 16 dimensions from `dim` on. The arena has no more than a block of
/// them side by side.
struct Values {
  const Work& work;
  bool direct;
  std::size_t depth;
  TileSource tile(std::size_t dim, std::size_t step) const {
    const std::size_t row_bytes = work.rows.head_dim * 4;
    if (!direct) return {work.scratch.codes + step * kTileRows * row_bytes + dim * 4, row_bytes};
    const std::size_t quad = work.slot(step * depth) / 4;
    return {work.block(step * depth) + work.layout.values + quad * row_bytes + dim * 4, row_bytes};
  }
};

/// result += left * right, of keys (signed queries) or of values (unsigned weights). A macro, since the intrinsics want
/// the numbers of tiles as they are written.
#define HEADWATER_MULTIPLY_TILES(result, left, right) \
  do {                                                \
    if constexpr (kSigned) {                          \
      _tile_dpbsud(result, left, right);              \
    } else {                                          \
      _tile_dpbuud(result, left, right);              \
    }                                                 \
  } while (false)

/// Columns that the four results take at once.
template <int kPlanes>
constexpr std::size_t kColumns = 16 * 4 / kPlanes;

/// Whole sums of kColumns columns from `column` on, of which there are `end`; what would lie beyond is made of the last
/// 16 again. left: for each step and tile of planes its first row, `left_tile` and `left_step` bytes apart.
/// out: [rows of planes] `out_stride` bytes apart, at the place of `column`. before(step) is called before a step
/// reads.
template <int kPlanes, bool kSigned, class Source, class Before>
inline void multiply(const Source& source, std::size_t column, std::size_t end, std::size_t steps,
                     const std::byte* left, std::size_t left_stride, std::size_t left_tile, std::size_t left_step,
                     std::byte* out, std::size_t out_stride, const Before& before) {
  std::size_t columns[4];
  for (std::size_t i = 0; i < 4; ++i) columns[i] = least(column + 16 * i, end - 16);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t step = 0; step < steps; ++step, left += left_step) {
    before(step);
    const TileSource first = source.tile(columns[0], step);
    _tile_loadd(4, left, left_stride);
    _tile_loadd(5, first.first, first.stride);
    HEADWATER_MULTIPLY_TILES(0, 4, 5);
    if constexpr (kPlanes == 1) {
      const TileSource second = source.tile(columns[1], step);
      _tile_loadd(6, second.first, second.stride);
      HEADWATER_MULTIPLY_TILES(1, 4, 6);
      const TileSource third = source.tile(columns[2], step);
      _tile_loadd(5, third.first, third.stride);
      HEADWATER_MULTIPLY_TILES(2, 4, 5);
      const TileSource fourth = source.tile(columns[3], step);
      _tile_loadd(6, fourth.first, fourth.stride);
      HEADWATER_MULTIPLY_TILES(3, 4, 6);
    } else if constexpr (kPlanes == 2) {
      _tile_loadd(7, left + left_tile, left_stride);
      HEADWATER_MULTIPLY_TILES(1, 7, 5);
      const TileSource second = source.tile(columns[1], step);
      _tile_loadd(6, second.first, second.stride);
      HEADWATER_MULTIPLY_TILES(2, 4, 6);
      HEADWATER_MULTIPLY_TILES(3, 7, 6);
    } else {
      _tile_loadd(7, left + left_tile, left_stride);
      HEADWATER_MULTIPLY_TILES(1, 7, 5);
      _tile_loadd(4, left + 2 * left_tile, left_stride);
      HEADWATER_MULTIPLY_TILES(2, 4, 5);
      _tile_loadd(7, left + 3 * left_tile, left_stride);
      HEADWATER_MULTIPLY_TILES(3, 7, 5);
    }
  }
  const auto place = [&](std::size_t plane, std::size_t i) {
    return out + plane * kTileRows * out_stride + (columns[i] - column) * sizeof(std::int32_t);
  };
  if constexpr (kPlanes == 1) {
    _tile_stored(0, place(0, 0), out_stride);
    _tile_stored(1, place(0, 1), out_stride);
    _tile_stored(2, place(0, 2), out_stride);
    _tile_stored(3, place(0, 3), out_stride);
  } else if constexpr (kPlanes == 2) {
    _tile_stored(0, place(0, 0), out_stride);
    _tile_stored(1, place(1, 0), out_stride);
    _tile_stored(2, place(0, 1), out_stride);
    _tile_stored(3, place(1, 1), out_stride);
  } else {
    _tile_stored(0, place(0, 0), out_stride);
    _tile_stored(1, place(1, 0), out_stride);
    _tile_stored(2, place(2, 0), out_stride);
    _tile_stored(3, place(3, 0), out_stride);
  }
  finish_stores();
}
#undef HEADWATER_MULTIPLY_TILES

}  // namespace headwater::kernels::cpu::quantized_tiles
