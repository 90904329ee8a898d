// Attention over a quantised cache by AMX: products of whole numbers, which are exact. Keys go into tiles as the arena
// holds them where they have 8 bits, values where blocks are long enough; what has 4 bits is spread to bytes a split at
// a time, in the nearest cache.
//
// A query is rounded to whole numbers of 16 bits of its own scale, and a split's weights times the scales of their
// values to such of the greatest. Each is two planes of bytes: number = 256 * upper + lower. Up to 8 rows have both
// planes in one tile, one above the other; more have tiles of their own.

#include <immintrin.h>

#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/tile_config.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileTokens = 16;  // of keys: the width of a tile
constexpr std::size_t kTileDims = 16;    // of values: the width
constexpr std::size_t kDepth = 64;       // of either: dimensions or tokens of a tile
constexpr std::size_t kLine = 64;
constexpr std::size_t kMostDims = 256;
/// Rows of scores and of weights, and a cache line more, so that the rows of a tile lie in different sets of the cache.
constexpr std::size_t kScoreBytes = kSplitTokens * sizeof(float) + kLine;
constexpr std::size_t kWeightBytes = kSplitTokens + kLine;

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
void configure(std::size_t rows, std::size_t depth) {
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
std::size_t scratch_bytes(std::size_t head_dim) {
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
void spread_keys(const Work& work) {
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
void spread_values(const Work& work) {
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

/// 2^x for x <= 0, to 3e-6, by a minimax polynomial of 2^r on [0, 1) with value 1 at 0.
inline __m512 exp2(__m512 x) {
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(0.0134266963F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.052242455F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.241280214F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693044844F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, x);
}

/// Those of 16 tokens from t on that are among the first `seen`.
inline __mmask16 seen_lanes(std::size_t seen, std::size_t t) {
  const std::size_t n = seen > t ? seen - t : 0;
  return static_cast<__mmask16>(n >= 16 ? 0xFFFFU : (1U << n) - 1U);
}

/// The parameters of the tokens that are seen, as floats.
inline void widen_parameters(const Work& work) {
  const std::size_t block_tokens = work.rows.block_tokens;
  for (std::size_t t = 0; t < work.seen; t += 16) {
    const std::byte* from = work.block(t) + work.layout.parameters + work.slot(t) * 2;
    for (std::size_t which = 0; which < 4; ++which) {
      const auto* bits = reinterpret_cast<const __m256i*>(from + which * block_tokens * 2);
      const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(bits)), 16);
      _mm512_store_si512(work.scratch.parameters + which * kSplitTokens + t, wide);
    }
  }
}

/// 256 * upper + lower.
inline __m512i joined(const std::byte* upper, const std::byte* lower) {
  return _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(upper), 8), _mm512_load_si512(lower));
}

/// Scores of the tokens [first, first + kChunkTokens), as far as they are seen, in units of their query's scale; and
/// the greatest so far in each lane.
template <int kPlanes>
void score_chunk(const Work& work, const Keys& keys, std::size_t first, __m512* most) {
  constexpr std::size_t kChunk = kChunkTokens<kPlanes>;
  constexpr std::size_t kSumBytes = kChunk * sizeof(std::int32_t) + kLine;
  const std::size_t steps = steps_of(work.rows.head_dim);
  const std::size_t end = least(first + kChunk, (work.seen + kTileTokens - 1) / kTileTokens * kTileTokens);
  for (std::size_t t = first; t < end; t += kColumns<kPlanes>) {
    if (t % kDepth == 0) {
      if (keys.direct) prefetch_keys(work, t + kDepth);
      prefetch_part(work, t / 32);
      prefetch_part(work, t / 32 + 1);
    }
    multiply<kPlanes, true>(keys, t, end, steps, work.scratch.queries, kLine, steps * kTileBytes, kTileBytes,
                            work.scratch.sums + (t - first) * sizeof(std::int32_t), kSumBytes, [](std::size_t) {});
  }
  const float* scales = work.scratch.parameters + key_scale * kSplitTokens;
  const float* minima = work.scratch.parameters + key_minimum * kSplitTokens;
  for (std::size_t r = 0; r < work.rows.n_rows; ++r) {
    const std::byte* upper = work.scratch.sums + upper_row<kPlanes>(r) * kSumBytes;
    const std::byte* lower = work.scratch.sums + lower_row<kPlanes>(r, work.rows.n_rows) * kSumBytes;
    auto* scores = reinterpret_cast<float*>(work.scratch.scores + r * kScoreBytes);
    const __m512 sum = _mm512_set1_ps(work.scratch.query_sums[r]);
    const auto score = [&](std::size_t t) {
      const std::size_t at = (t - first) * sizeof(std::int32_t);
      const __m512 product = _mm512_cvtepi32_ps(joined(upper + at, lower + at));
      const __m512 lowest = _mm512_mul_ps(_mm512_load_ps(minima + t), sum);
      const __m512 all = _mm512_fmadd_ps(product, _mm512_load_ps(scales + t), lowest);
      _mm512_store_ps(scores + t, all);
      return all;
    };
    const std::size_t seen = work.split.seen[r];
    __m512 greatest = most[r];
    std::size_t t = first;
    for (; t + 16 <= least(seen, end); t += 16) greatest = _mm512_max_ps(score(t), greatest);
    for (; t < end; t += 16) greatest = _mm512_mask_max_ps(greatest, seen_lanes(seen, t), score(t), greatest);
    most[r] = greatest;
  }
}

/// The two bytes of each of 64 whole numbers.
inline void store_planes(__m512i a, __m512i b, __m512i c, __m512i d, std::byte* upper, std::byte* lower) {
  // Packing goes by 128 bits, of each of which it leaves four numbers of a, of b, of c and of d.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_set1_epi16(0x00FF);
  const __m512i ab = _mm512_packus_epi32(a, b);
  const __m512i cd = _mm512_packus_epi32(c, d);
  const __m512i lowers = _mm512_packus_epi16(_mm512_and_si512(ab, low), _mm512_and_si512(cd, low));
  const __m512i uppers = _mm512_packus_epi16(_mm512_srli_epi16(ab, 8), _mm512_srli_epi16(cd, 8));
  _mm512_store_si512(lower, _mm512_permutexvar_epi32(order, lowers));
  _mm512_store_si512(upper, _mm512_permutexvar_epi32(order, uppers));
}

/// What a row's weights come to, in 16 parts: their sum, that of weights times minima, and the greatest weight times
/// the scale of its value.
struct Weighed {
  __m512 total, least, greatest;
};

/// A row's scores become weights times the scales of their values, zero from `seen` to `end`. most: the greatest score
/// times query_scale.
inline Weighed weigh(float* scores, std::size_t seen, std::size_t end, float query_scale, float most,
                     const float* parameters) {
  constexpr float kNothing = 1e-30F;  // its inverse is a number
  // What is as good as nothing is cut off: numbers that are not normal take a hundred times as long. A NaN stays.
  const __m512 lowest = _mm512_set1_ps(-64);
  const float* scales = parameters + value_scale * kSplitTokens;
  const float* minima = parameters + value_minimum * kSplitTokens;
  const __m512 scale = _mm512_set1_ps(query_scale);
  const __m512 shift = _mm512_set1_ps(most);
  Weighed sums{_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_set1_ps(kNothing)};
  const auto weights_at = [&](std::size_t t) {
    return exp2(_mm512_max_ps(lowest, _mm512_fmsub_ps(_mm512_load_ps(scores + t), scale, shift)));
  };
  std::size_t t = 0;
  for (; t + 16 <= seen; t += 16) {
    const __m512 weights = weights_at(t);
    sums.total = _mm512_add_ps(sums.total, weights);
    sums.least = _mm512_fmadd_ps(weights, _mm512_load_ps(minima + t), sums.least);
    const __m512 scaled = _mm512_mul_ps(weights, _mm512_load_ps(scales + t));
    sums.greatest = _mm512_max_ps(scaled, sums.greatest);
    _mm512_store_ps(scores + t, scaled);
  }
  for (; t < end; t += 16) {
    const __mmask16 kept = seen_lanes(seen, t);
    const __m512 weights = weights_at(t);
    sums.total = _mm512_mask_add_ps(sums.total, kept, sums.total, weights);
    sums.least = _mm512_mask3_fmadd_ps(weights, _mm512_load_ps(minima + t), sums.least, kept);
    const __m512 scaled = _mm512_maskz_mul_ps(kept, weights, _mm512_load_ps(scales + t));
    sums.greatest = _mm512_max_ps(scaled, sums.greatest);
    _mm512_store_ps(scores + t, scaled);
  }
  return sums;
}

/// Weights as whole numbers of `unit`, in planes.
inline void split_weights(const float* weights, std::size_t end, float unit, std::byte* upper, std::byte* lower) {
  const __m512 inverse = _mm512_set1_ps(1 / unit);
  const auto whole = [&](std::size_t at) {
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(weights + at), inverse));
  };
  for (std::size_t i = 0; i < end; i += kDepth) {
    store_planes(whole(i), whole(i + 16), whole(i + 32), whole(i + 48), upper + i, lower + i);
  }
}

template <int kPlanes>
void mix(const Work& work, const Values& values, const float* units, const float* leasts) {
  const std::size_t steps = (work.seen + values.depth - 1) / values.depth;
  const std::size_t dim = work.rows.head_dim;
  const std::size_t stride = sum_bytes(dim);
  finish_stores();
  for (std::size_t i = 0; i < dim; i += kColumns<kPlanes>) {
    const auto before = [&](std::size_t step) {
      if (i == 0) prefetch_part(work, 8 + step * 8 / steps);
    };
    multiply<kPlanes, false>(values, i, dim, steps, work.scratch.weights, kWeightBytes, kTileRows * kWeightBytes,
                             values.depth, work.scratch.sums + i * sizeof(std::int32_t), stride, before);
  }
  for (std::size_t r = 0; r < work.rows.n_rows; ++r) {
    const std::byte* upper = work.scratch.sums + upper_row<kPlanes>(r) * stride;
    const std::byte* lower = work.scratch.sums + lower_row<kPlanes>(r, work.rows.n_rows) * stride;
    float* sums = work.result.sums + r * dim;
    const __m512 unit = _mm512_set1_ps(units[r]);
    const __m512 least = _mm512_set1_ps(leasts[r]);
    for (std::size_t i = 0; i < dim; i += 16) {
      const __m512 whole = _mm512_cvtepu32_ps(joined(upper + i * 4, lower + i * 4));
      _mm512_storeu_ps(sums + i, _mm512_fmadd_ps(whole, unit, least));
    }
  }
}

template <int kPlanes>
void gather_rows(const Work& work) {
  constexpr std::size_t kRowsBetweenTiles = 8;
  const QueryRows& rows = work.rows;
  const Keys keys{work, rows.key_bits == 8 && rows.head_dim % kDepth == 0};
  const bool direct = rows.value_bits == 8;
  const Values values{work, direct, direct ? least(rows.block_tokens, kDepth) : kDepth};
  widen_parameters(work);
  if (!keys.direct) spread_keys(work);
  finish_stores();
  __m512 most[kMaxRows];
  for (std::size_t r = 0; r < rows.n_rows; ++r) most[r] = _mm512_set1_ps(-__builtin_inff());
  for (std::size_t t = 0; t < work.seen; t += kChunkTokens<kPlanes>) score_chunk<kPlanes>(work, keys, t, most);
  if (!values.direct) spread_values(work);
  if (values.depth != kDepth) configure_planes(rows.n_rows, values.depth);
  const std::size_t padded = (work.seen + kDepth - 1) / kDepth * kDepth;
  const auto scores_of = [&](std::size_t r) { return reinterpret_cast<float*>(work.scratch.scores + r * kScoreBytes); };
  // In loops of their own, so that no row waits for its greatest number.
  float units[kMaxRows];
  float leasts[kMaxRows];
  for (std::size_t r = 0; r < rows.n_rows; ++r) {
    work.result.most[r] = _mm512_reduce_max_ps(most[r]) * work.scratch.query_scales[r];
  }
  Weighed weighed[kMaxRows];
  for (std::size_t r = 0; r < rows.n_rows; ++r) {
    weighed[r] = weigh(scores_of(r), work.split.seen[r], padded, work.scratch.query_scales[r], work.result.most[r],
                       work.scratch.parameters);
    if (r % kRowsBetweenTiles == kRowsBetweenTiles - 1) keep_tiles_awake();
  }
  for (std::size_t r = 0; r < rows.n_rows; ++r) {
    constexpr float kWhole = 65535;
    units[r] = _mm512_reduce_max_ps(weighed[r].greatest) / kWhole;
    leasts[r] = _mm512_reduce_add_ps(weighed[r].least);
    work.result.total[r] = _mm512_reduce_add_ps(weighed[r].total);
  }
  for (std::size_t r = 0; r < rows.n_rows; ++r) {
    split_weights(scores_of(r), padded, units[r], work.scratch.weights + upper_row<kPlanes>(r) * kWeightBytes,
                  work.scratch.weights + lower_row<kPlanes>(r, rows.n_rows) * kWeightBytes);
    if (r % kRowsBetweenTiles == kRowsBetweenTiles - 1) keep_tiles_awake();
  }
  mix<kPlanes>(work, values, units, leasts);
  if (values.depth != kDepth) configure_planes(rows.n_rows, kDepth);
}

/// A query as whole numbers, into its rows of the planes' tiles.
inline void split_query(const float* query, std::size_t head_dim, std::byte* upper, std::byte* lower,
                        std::size_t step_bytes, float& scale, float& sum) {
  constexpr float kWhole = 127 * 256 + 127;  // so that the upper part, rounded, fits into a byte
  constexpr float kNothing = 1e-30F;         // its inverse is a number
  __m512 greatest = _mm512_setzero_ps();
  __m512 trap = _mm512_setzero_ps();  // NaN where the query is not finite
  for (std::size_t i = 0; i < head_dim; i += 16) {
    const __m512 x = _mm512_loadu_ps(query + i);
    greatest = _mm512_max_ps(_mm512_abs_ps(x), greatest);
    trap = _mm512_fmadd_ps(x, _mm512_setzero_ps(), trap);
  }
  const float most = _mm512_reduce_max_ps(greatest);
  scale = most / kWhole + _mm512_reduce_add_ps(trap);
  const __m512 inverse = _mm512_set1_ps(most > kNothing ? kWhole / most : 0);
  __m512i total = _mm512_setzero_si512();
  for (std::size_t i = 0; i < head_dim; i += 16) {
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(query + i), inverse));
    total = _mm512_add_epi32(total, whole);
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(128)), 8);
    const std::size_t at = i / kDepth * step_bytes + i % kDepth;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(lower + at), _mm512_cvtepi32_epi8(whole));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(upper + at), _mm512_cvtepi32_epi8(high));
  }
  sum = static_cast<float>(_mm512_reduce_add_epi32(total));
}

template <int kPlanes>
void begin_rows(const QueryRows& rows) {
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  const std::size_t tile_bytes = steps_of(rows.head_dim) * kTileBytes;
  // Zero where there is no row, and beyond head_dim. Planes of weights have no such rows, but numbers of any kind.
  for (std::size_t i = 0; i < kPlanes * tile_bytes; i += kLine) {
    _mm512_store_si512(scratch.queries + i, _mm512_setzero_si512());
  }
  const auto place = [&](std::size_t plane_row) {
    return scratch.queries + plane_row / kTileRows * tile_bytes + plane_row % kTileRows * kLine;
  };
  for (std::size_t r = 0; r < rows.n_rows; ++r) {
    split_query(rows.queries[r], rows.head_dim, place(upper_row<kPlanes>(r)), place(lower_row<kPlanes>(r, rows.n_rows)),
                kTileBytes, scratch.query_scales[r], scratch.query_sums[r]);
  }
  configure_planes(rows.n_rows, kDepth);
}

void begin(const QueryRows& rows) {
  switch (planes_of(rows.n_rows)) {
    case 1:
      return begin_rows<1>(rows);
    case 2:
      return begin_rows<2>(rows);
    default:
      return begin_rows<4>(rows);
  }
}

void gather(const QueryRows& rows, const Split& split, const Gathered& result) {
  const Work work{rows,
                  split,
                  result,
                  parts(rows.scratch, rows.head_dim),
                  code_layout(rows.key_bits, rows.value_bits, rows.head_dim, rows.block_tokens),
                  split.seen[rows.n_rows - 1]};
  switch (planes_of(rows.n_rows)) {
    case 1:
      return gather_rows<1>(work);
    case 2:
      return gather_rows<2>(work);
    default:
      return gather_rows<4>(work);
  }
}

void end() { _tile_release(); }

static_assert(kMostDims * 255 * (127 * 256 + 127) < 0x7FFFFFFF, "sums of whole numbers must not overflow");
static_assert(kSplitTokens * 255UL * 65535 < 0xFFFFFFFFUL, "nor those of values, without a sign");

}  // namespace

const AttentionKernel kAmxQuantizedAttention{scratch_bytes, begin, gather, end};

}  // namespace headwater::kernels::cpu
