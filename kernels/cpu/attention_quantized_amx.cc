// Attention over a quantised cache by AMX.
//
// Keys are whole numbers in their tiles, and a query is rounded to bytes of its own scale: rotated as the keys are, it
// has no channel that stands out, and loses no more by that than a key does. So the sums are exact, and a key's scale
// and minimum join the score. Keys in 4 bits have those for each 32 numbers: there a tile of queries holds one half of
// its depth and zeros in the other, so that two of them make sums for each half out of one tile of keys. Values of a
// split become bfloat16 in a thread's own memory, which stays in the second-level cache, and serve all rows of a unit.
// Lines of the next split are asked for one by one meanwhile: for a few rows everything waits for them.

#include "kernels/cpu/attention_tiles_amx.h"
#include "kernels/cpu/widened_values_amx.h"

namespace headwater::kernels::cpu {
namespace {

using namespace attention_tiles;  // NOLINT: this file is one of those that they are for

constexpr std::size_t kTileTokens = 16;
constexpr std::size_t kDepth = 64;  // dimensions of a tile
constexpr std::size_t kLine = 64;
/// Scores are made for so many tokens at once: few rows' sums stay in the nearest cache all the same.
template <int kTiles>
constexpr std::size_t kChunkTokens = kTiles == 1 ? kSplitTokens : 64;
/// Whole sums of a row, and a cache line more, as for kRowBytes.
constexpr std::size_t kSumBytes = kSplitTokens * sizeof(std::int32_t) + kLine;
/// Of all rows.
constexpr std::size_t kAllSumBytes = kPairedRows * kSumBytes;

inline std::size_t steps_of(std::size_t head_dim) { return (head_dim + kDepth - 1) / kDepth; }
/// Tiles of queries for each 16 rows: for keys in 8 bits one for each step, and for those in 4 bits two.
inline std::size_t query_tiles_of(std::size_t head_dim) { return 3 * steps_of(head_dim); }

/// Where the parts of the scratch memory lie.
struct Scratch {
  float* scales;        ///< [kMaxRows], of queries, times kScoreUnits
  float* totals;        ///< [kMaxRows], the sum of a query's numbers, times its scale
  float* group_totals;  ///< [groups][kMaxRows], likewise of each group
  float* parameters;    ///< [groups][2][kSplitTokens]: scales and minima of keys; of 8 bits there is one group
  std::byte* queries;   ///< [tiles of rows][query_tiles_of(head_dim)][16 rows][64]: those for 8 bits first
  std::byte* sums;      ///< [2][2 tiles of rows][16 rows] kSumBytes apart
  /// [tiles of tokens][steps of head_dim][16 quads][16 tokens][4]: where tiles cannot take them as they lie
  std::byte* keys;
  std::byte* part;        ///< [part_bytes(head_dim)]
  std::uint16_t* values;  ///< [groups][16 pairs][head_dim][2] bfloat16
};
inline std::size_t query_tile_bytes(std::size_t head_dim) { return query_tiles_of(head_dim) * kTileBytes; }
inline Scratch parts(std::byte* scratch, std::size_t head_dim) {
  const std::size_t groups = group_count(head_dim);
  Scratch result;
  result.scales = reinterpret_cast<float*>(scratch);
  result.totals = result.scales + kMaxRows;
  result.group_totals = result.totals + kMaxRows;
  result.parameters = result.group_totals + groups * kMaxRows;
  result.queries = reinterpret_cast<std::byte*>(result.parameters + groups * 2 * kSplitTokens);
  result.sums = result.queries + kMaxRows / kTileRows * query_tile_bytes(head_dim);
  result.keys = result.sums + 2 * kAllSumBytes;
  result.part = result.keys + kSplitTokens / kTileTokens * steps_of(head_dim) * kTileBytes;
  result.values = reinterpret_cast<std::uint16_t*>(result.part + part_bytes(head_dim));
  return result;
}
std::size_t scratch_bytes(std::size_t head_dim) {
  const Scratch all = parts(nullptr, head_dim);
  const auto before = reinterpret_cast<std::byte*>(all.values) - static_cast<std::byte*>(nullptr);
  return static_cast<std::size_t>(before) + kSplitTokens * head_dim * sizeof(std::uint16_t);
}

/// Where a query's row of the tile for keys in 4 bits lies, of a group.
inline std::size_t group_place(std::size_t head_dim, std::size_t group) {
  return (steps_of(head_dim) + group) * kTileBytes + group % 2 * kGroupDims;
}

/// A query as whole numbers, into its rows of tiles: `out` is that of the first. A first block has keys in 8 bits where
/// all others have 4, so `groups` adds to what 8 bits need.
inline void round_query(const float* query, const Scratch& scratch, std::size_t row, std::size_t head_dim, bool groups,
                        std::byte* out) {
  constexpr float kWhole = 127;
  const auto [step, inverse] = query_step(query, head_dim, kWhole);
  const float scale = step * kScoreUnits;
  __m512i sum = _mm512_setzero_si512();
  std::int32_t group_total = 0;
  for (std::size_t i = 0; i < head_dim; i += 16) {
    const __m512i whole = whole_numbers(_mm512_loadu_ps(query + i), inverse);
    const __m128i bytes = _mm512_cvtepi32_epi8(whole);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i / kDepth * kTileBytes + i % kDepth), bytes);
    sum = _mm512_add_epi32(sum, whole);
    if (!groups) continue;
    const std::size_t group = i / kGroupDims;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + group_place(head_dim, group) + i % kGroupDims), bytes);
    group_total = (i % kGroupDims == 0 ? 0 : group_total) + _mm512_reduce_add_epi32(whole);
    scratch.group_totals[group * kMaxRows + row] = static_cast<float>(group_total) * scale;
  }
  scratch.scales[row] = scale;
  scratch.totals[row] = static_cast<float>(_mm512_reduce_add_epi32(sum)) * scale;
}

void begin(const QueryRows& rows) {
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  const std::size_t tile_bytes = query_tile_bytes(rows.head_dim);
  const bool groups = rows.key_bits == 4;
  const std::size_t used_bytes = groups ? tile_bytes : steps_of(rows.head_dim) * kTileBytes;
  for (std::size_t first = 0; first < rows.n_rows; first += kTileRows) {
    std::byte* tiles = scratch.queries + first / kTileRows * tile_bytes;
    // Zero where there is no row, beyond head_dim, and beside a group.
    for (std::size_t i = 0; i < used_bytes; i += kLine) _mm512_store_si512(tiles + i, _mm512_setzero_si512());
    for (std::size_t r = first; r < least(first + kTileRows, rows.n_rows); ++r) {
      round_query(rows.queries[r], scratch, r, rows.head_dim, groups, tiles + r % kTileRows * kLine);
    }
  }
}

/// Both halves of each of 64 bytes, as bytes.
inline void spread(const std::byte* packed, std::byte* low, std::byte* high) {
  const __m512i mask = _mm512_set1_epi8(0x0F);
  const __m512i both = _mm512_loadu_si512(packed);
  _mm512_store_si512(low, _mm512_and_si512(both, mask));
  _mm512_store_si512(high, _mm512_and_si512(_mm512_srli_epi16(both, 4), mask));
}

/// The cache of a call, for attention_tiles.
struct Source {
  const QueryRows& rows;
  const Split& split;
  CodeLayout layout;
  Scratch scratch;
  Ahead ahead;
  std::size_t seen = split.seen[rows.n_rows - 1];
  /// Whether tiles take keys from the arena.
  bool direct = rows.key_bits == 8 && rows.head_dim % kDepth == 0;
  bool keys_made = false;
  bool values_made = false;
  // block_tokens is a power of two, and dividing by a number that is not known takes long.
  unsigned block_shift = static_cast<unsigned>(__builtin_ctzll(rows.block_tokens));
  const std::uint16_t* values[kSplitTokens / kGroupTokens] = {};

  const std::byte* block(std::size_t token) const {
    return reinterpret_cast<const std::byte*>(split.blocks[token >> block_shift]);
  }
  std::size_t slot(std::size_t token) const { return token & (rows.block_tokens - 1); }

  std::byte* spread_tile(std::size_t t) const {
    return scratch.keys + t / kTileTokens * steps_of(rows.head_dim) * kTileBytes;
  }
  void make_keys() {
    if (keys_made) return;
    keys_made = true;
    for (std::size_t t = 0; t < seen; t += kTileTokens) {
      widen_parameters(t);
      if (direct) continue;
      rows.key_bits == 4 ? spread_keys(t) : copy_keys(t);
      keep_tiles_awake();
    }
    finish_stores();
  }
  /// Of 16 keys.
  void widen_parameters(std::size_t t) {
    const std::byte* from = block(t) + layout.key_parameters;
    if (rows.key_bits == 8) {
      const auto* numbers = reinterpret_cast<const std::uint16_t*>(from) + slot(t);
      _mm512_store_ps(scratch.parameters + t, widen(numbers));
      _mm512_store_ps(scratch.parameters + kSplitTokens + t, widen(numbers + rows.block_tokens));
      return;
    }
    float* to = scratch.parameters + t;
    from += slot(t);
    for (std::size_t group = 0; group < group_count(rows.head_dim); ++group) {
      _mm512_store_ps(to, group_scales(from));
      _mm512_store_ps(to + kSplitTokens, group_minima(from + rows.block_tokens));
      from += 2 * rows.block_tokens;
      to += 2 * kSplitTokens;
    }
  }
  // Of 16 tokens, where tiles cannot take them from the arena:
  void copy_keys(std::size_t t) {
    const std::byte* keys = block(t) + slot(t) * 4;
    std::byte* out = spread_tile(t);
    for (std::size_t quad = 0; quad < rows.head_dim / 4; ++quad, keys += rows.block_tokens * 4, out += kLine) {
      ahead.line();
      _mm512_store_si512(out, _mm512_loadu_si512(keys));
    }
  }
  void spread_keys(std::size_t t) {
    const std::byte* keys = block(t) + slot(t) * 4;
    std::byte* out = spread_tile(t);
    for (std::size_t group = 0; group < group_count(rows.head_dim); ++group) {
      const std::size_t lines = group_size(rows.head_dim, group) / 8;
      for (std::size_t i = 0; i < lines; ++i, keys += rows.block_tokens * 4, out += kLine) {
        ahead.line();
        spread(keys, out, out + lines * kLine);
      }
      out += lines * kLine;
    }
  }

  struct KeyTile {
    const std::byte* first;
    std::size_t stride;
  };
  KeyTile key_tile(std::size_t t, std::size_t step) const {
    if (!direct) return {spread_tile(t) + step * kTileBytes, kLine};
    return {block(t) + (step * kTileRows * rows.block_tokens + slot(t)) * 4, rows.block_tokens * 4};
  }
  const std::byte* query_tile(const Part& part) const {
    return scratch.queries + part.first_row / kTileRows * query_tile_bytes(rows.head_dim) +
           part.first_row % kTileRows * kLine;
  }

  /// Whole sums of 16 tokens from t on.
  template <int kTiles>
  void multiply(const Part& part, std::size_t t, std::byte* out) {
    const std::byte* queries = query_tile(part);
    _tile_zero(0);
    if constexpr (kTiles == 2) _tile_zero(1);
    for (std::size_t step = 0; step < steps_of(rows.head_dim); ++step, queries += kTileBytes) {
      const KeyTile keys = key_tile(t, step);
      if (direct && t + 2 * kTileTokens < seen) {
        const KeyTile next = key_tile(t + 2 * kTileTokens, step);
        prefetch_tile(reinterpret_cast<const std::uint16_t*>(next.first), next.stride);
      }
      _tile_loadd(6, keys.first, keys.stride);
      _tile_loadd(4, queries, kLine);
      _tile_dpbsud(0, 4, 6);
      if constexpr (kTiles == 2) {
        _tile_loadd(5, queries + query_tile_bytes(rows.head_dim), kLine);
        _tile_dpbsud(1, 5, 6);
      }
    }
    _tile_stored(0, out, kSumBytes);
    if constexpr (kTiles == 2) _tile_stored(1, out + kTileRows * kSumBytes, kSumBytes);
  }

  /// Whole sums of the two groups of a step, of 16 tokens from t on.
  template <int kTiles>
  void multiply_groups(const Part& part, std::size_t t, std::size_t step, std::byte* out) {
    const std::byte* queries = query_tile(part) + (steps_of(rows.head_dim) + 2 * step) * kTileBytes;
    const KeyTile keys = key_tile(t, step);
    _tile_loadd(6, keys.first, keys.stride);
    for (int tile = 0; tile < kTiles; ++tile) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_loadd(4, queries, kLine);
      _tile_dpbsud(0, 4, 6);
      _tile_loadd(5, queries + kTileBytes, kLine);
      _tile_dpbsud(1, 5, 6);
      _tile_stored(0, out, kSumBytes);
      _tile_stored(1, out + kAllSumBytes, kSumBytes);
      queries += query_tile_bytes(rows.head_dim);
      out += kTileRows * kSumBytes;
    }
  }

  template <int kTiles>
  void score(const Part& part) {
    constexpr std::size_t kAhead = 12;  // lines for 16 tokens
    make_keys();
    // A first block may end in the middle of a group.
    const std::size_t end = least(part.n_groups * kGroupTokens, (seen + kTileTokens - 1) / kTileTokens * kTileTokens);
    for (std::size_t first = 0; first < end; first += kChunkTokens<kTiles>) {
      const std::size_t chunk_end = least(first + kChunkTokens<kTiles>, end);
      if (rows.key_bits == 4) {
        score_groups<kTiles>(part, first, chunk_end);
        continue;
      }
      for (std::size_t t = first; t < chunk_end; t += kTileTokens) {
        for (std::size_t i = 0; i < kAhead; ++i) ahead.line();
        multiply<kTiles>(part, t, scratch.sums + (t - first) * sizeof(std::int32_t));
      }
      finish_stores();
      for (std::size_t r = 0; r < part.n_rows; ++r) join(part, r, first, chunk_end);
    }
    finish_stores();
  }
  template <int kTiles>
  void score_groups(const Part& part, std::size_t first, std::size_t end) {
    constexpr std::size_t kAhead = 6;  // lines for 16 tokens
    for (std::size_t step = 0; step < steps_of(rows.head_dim); ++step) {
      for (std::size_t t = first; t < end; t += kTileTokens) {
        for (std::size_t i = 0; i < kAhead; ++i) ahead.line();
        multiply_groups<kTiles>(part, t, step, scratch.sums + (t - first) * sizeof(std::int32_t));
      }
      finish_stores();
      for (std::size_t r = 0; r < part.n_rows; ++r) join_groups(part, r, step, first, end);
    }
  }

  /// Scores of a row out of its whole sums: sum * scale + total * minimum.
  void join(const Part& part, std::size_t r, std::size_t first, std::size_t end) {
    const std::byte* sums = scratch.sums + r * kSumBytes;
    auto* scores = reinterpret_cast<float*>(part.scores + r * kRowBytes) + first;
    const float* parameters = scratch.parameters + first;
    const __m512 scale = _mm512_set1_ps(scratch.scales[part.first_row + r]);
    const __m512 total = _mm512_set1_ps(scratch.totals[part.first_row + r]);
    for (std::size_t t = 0; t < end - first; t += kTileTokens) {
      ahead.line();
      const __m512i whole = _mm512_load_si512(sums + t * sizeof(std::int32_t));
      const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), scale);
      const __m512 lowest = _mm512_mul_ps(_mm512_load_ps(parameters + kSplitTokens + t), total);
      _mm512_store_ps(scores + t, _mm512_fmadd_ps(scaled, _mm512_load_ps(parameters + t), lowest));
    }
  }
  /// Adds what the groups of a step give: scale * (sum + total * minimum).
  void join_groups(const Part& part, std::size_t r, std::size_t step, std::size_t first, std::size_t end) {
    auto* scores = reinterpret_cast<float*>(part.scores + r * kRowBytes) + first;
    const __m512 scale = _mm512_set1_ps(scratch.scales[part.first_row + r]);
    for (std::size_t group = 2 * step; group < least(2 * step + 2, group_count(rows.head_dim)); ++group) {
      const std::byte* sums = scratch.sums + group % 2 * kAllSumBytes + r * kSumBytes;
      const float* parameters = scratch.parameters + group * 2 * kSplitTokens + first;
      const __m512 total = _mm512_set1_ps(scratch.group_totals[group * kMaxRows + part.first_row + r]);
      for (std::size_t t = 0; t < end - first; t += kTileTokens) {
        ahead.line();
        const __m512i whole = _mm512_load_si512(sums + t * sizeof(std::int32_t));
        const __m512 lowest = _mm512_mul_ps(_mm512_load_ps(parameters + kSplitTokens + t), total);
        const __m512 number = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, lowest);
        const __m512 before = group == 0 ? _mm512_setzero_ps() : _mm512_load_ps(scores + t);
        _mm512_store_ps(scores + t, _mm512_fmadd_ps(number, _mm512_load_ps(parameters + t), before));
      }
    }
  }

  void make_values() {
    if (values_made) return;
    values_made = true;
    for (std::size_t t = 0; t < seen; t += kGroupTokens) {
      std::uint16_t* out = scratch.values + t * rows.head_dim;
      const ValueCodes codes{block(t), rows.head_dim, rows.block_tokens, slot(t), layout};
      rows.value_bits == 8 ? widen_values_of_8(codes, out, ahead) : widen_values_of_4(codes, out, ahead);
      values[t / kGroupTokens] = out;
      keep_tiles_awake();
    }
    ahead.rest();
  }
};

void gather(const QueryRows& rows, const Split& split, const Gathered& result) {
  const CodeLayout layout = code_layout(rows.key_bits, rows.value_bits, rows.head_dim, rows.block_tokens);
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  Source source{rows, split, layout, scratch, Ahead(split, layout.end)};
  gather_rows(rows, split, result, scratch.part, source);
}

void end() { _tile_release(); }

}  // namespace

const AttentionKernel kAmxQuantizedAttention{kMaxRows, scratch_bytes, begin, gather, end};

}  // namespace headwater::kernels::cpu
