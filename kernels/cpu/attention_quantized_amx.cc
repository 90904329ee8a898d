// Attention over a quantised cache by AMX.
//
// Keys are whole numbers in their tiles, and a query is rounded to bytes of its own scale: rotated as the keys are, it
// has no channel that stands out, and loses no more by that than a key does. So the sums are exact, and a key's scale
// and minimum join the score. Values of a split become bfloat16 in a thread's own memory, which stays in the
// second-level cache, and serve all rows of a unit. Lines of the next split are asked for one by one meanwhile: for a
// few rows everything waits for them.

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

inline std::size_t steps_of(std::size_t head_dim) { return (head_dim + kDepth - 1) / kDepth; }

/// Where the parts of the scratch memory lie.
struct Scratch {
  float* scales;       ///< [kMaxRows], of queries, times kScoreUnits
  float* totals;       ///< [kMaxRows], the sum of a query's numbers, times its scale
  float* parameters;   ///< [2][kSplitTokens]: scales and minima of keys
  std::byte* queries;  ///< [tiles of rows][steps of head_dim][16 rows][64]
  std::byte* sums;     ///< [2 tiles of rows][16 rows] kSumBytes apart
  /// [tiles of tokens][steps of head_dim][16 quads][16 tokens][4]: where tiles cannot take them as they lie
  std::byte* keys;
  std::byte* part;        ///< [part_bytes(head_dim)]
  std::uint16_t* values;  ///< [groups][16 pairs][head_dim][2] bfloat16
};
inline std::size_t query_tile_bytes(std::size_t head_dim) { return steps_of(head_dim) * kTileBytes; }
inline Scratch parts(std::byte* scratch, std::size_t head_dim) {
  Scratch result;
  result.scales = reinterpret_cast<float*>(scratch);
  result.totals = result.scales + kMaxRows;
  result.parameters = result.totals + kMaxRows;
  result.queries = reinterpret_cast<std::byte*>(result.parameters + 2 * kSplitTokens);
  result.sums = result.queries + kMaxRows / kTileRows * query_tile_bytes(head_dim);
  result.keys = result.sums + kPairedRows * kSumBytes;
  result.part = result.keys + kSplitTokens / kTileTokens * steps_of(head_dim) * kTileBytes;
  result.values = reinterpret_cast<std::uint16_t*>(result.part + part_bytes(head_dim));
  return result;
}
std::size_t scratch_bytes(std::size_t head_dim) {
  const Scratch all = parts(nullptr, head_dim);
  const auto before = reinterpret_cast<std::byte*>(all.values) - static_cast<std::byte*>(nullptr);
  return static_cast<std::size_t>(before) + kSplitTokens * head_dim * sizeof(std::uint16_t);
}

/// A query as whole numbers, into its row of a tile.
inline void round_query(const float* query, std::size_t head_dim, std::byte* out, float& scale, float& total) {
  constexpr float kWhole = 127;
  constexpr float kNothing = 1e-30F;  // its inverse is a number
  __m512 greatest = _mm512_setzero_ps();
  __m512 trap = _mm512_setzero_ps();  // NaN where the query is not finite
  for (std::size_t i = 0; i < head_dim; i += 16) {
    const __m512 x = _mm512_loadu_ps(query + i);
    greatest = _mm512_max_ps(_mm512_abs_ps(x), greatest);
    trap = _mm512_fmadd_ps(x, _mm512_setzero_ps(), trap);
  }
  const float most = _mm512_reduce_max_ps(greatest);
  scale = (most / kWhole + _mm512_reduce_add_ps(trap)) * kScoreUnits;
  const __m512 inverse = _mm512_set1_ps(most > kNothing ? kWhole / most : 0);
  __m512i sum = _mm512_setzero_si512();
  for (std::size_t i = 0; i < head_dim; i += 16) {
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(query + i), inverse));
    sum = _mm512_add_epi32(sum, whole);
    const std::size_t at = i / kDepth * kTileBytes + i % kDepth;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at), _mm512_cvtepi32_epi8(whole));
  }
  total = static_cast<float>(_mm512_reduce_add_epi32(sum)) * scale;
}

void begin(const QueryRows& rows) {
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  const std::size_t tile_bytes = query_tile_bytes(rows.head_dim);
  // Zero where there is no row, and beyond head_dim.
  for (std::size_t i = 0; i < (rows.n_rows + kTileRows - 1) / kTileRows * tile_bytes; i += kLine) {
    _mm512_store_si512(scratch.queries + i, _mm512_setzero_si512());
  }
  for (std::size_t r = 0; r < rows.n_rows; ++r) {
    std::byte* out = scratch.queries + r / kTileRows * tile_bytes + r % kTileRows * kLine;
    round_query(rows.queries[r], rows.head_dim, out, scratch.scales[r], scratch.totals[r]);
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
      const std::byte* from = block(t) + layout.parameters + slot(t) * 2;
      for (std::size_t which = key_scale; which <= key_minimum; ++which) {
        const auto* numbers = reinterpret_cast<const std::uint16_t*>(from + which * rows.block_tokens * 2);
        _mm512_store_ps(scratch.parameters + which * kSplitTokens + t, widen(numbers));
      }
      if (direct) continue;
      spread_keys(t);
      keep_tiles_awake();
    }
    finish_stores();
  }
  /// Of 16 tokens, where tiles cannot take them from the arena.
  void spread_keys(std::size_t t) {
    const std::size_t lines = rows.head_dim * rows.key_bits / 8 / 4;
    const std::byte* keys = block(t) + slot(t) * 4;
    std::byte* out = spread_tile(t);
    for (std::size_t q = 0; q < lines; ++q, keys += rows.block_tokens * 4, out += kLine) {
      ahead.line();
      if (rows.key_bits == 4) {
        spread(keys, out, out + lines * kLine);
      } else {
        _mm512_store_si512(out, _mm512_loadu_si512(keys));
      }
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

  /// Whole sums of 16 tokens from t on.
  template <int kTiles>
  void multiply(const Part& part, std::size_t t, std::byte* out) {
    const std::size_t steps = steps_of(rows.head_dim);
    const std::byte* queries =
        scratch.queries + part.first_row / kTileRows * steps * kTileBytes + part.first_row % kTileRows * kLine;
    _tile_zero(0);
    if constexpr (kTiles == 2) _tile_zero(1);
    for (std::size_t step = 0; step < steps; ++step, queries += kTileBytes) {
      const KeyTile keys = key_tile(t, step);
      if (direct && t + 2 * kTileTokens < seen) {
        const KeyTile next = key_tile(t + 2 * kTileTokens, step);
        prefetch_tile(reinterpret_cast<const std::uint16_t*>(next.first), next.stride);
      }
      _tile_loadd(6, keys.first, keys.stride);
      _tile_loadd(4, queries, kLine);
      _tile_dpbsud(0, 4, 6);
      if constexpr (kTiles == 2) {
        _tile_loadd(5, queries + steps * kTileBytes, kLine);
        _tile_dpbsud(1, 5, 6);
      }
    }
    _tile_stored(0, out, kSumBytes);
    if constexpr (kTiles == 2) _tile_stored(1, out + kTileRows * kSumBytes, kSumBytes);
  }

  template <int kTiles>
  void score(const Part& part) {
    constexpr std::size_t kAhead = 12;  // lines for 16 tokens
    make_keys();
    const std::size_t end = part.n_groups * kGroupTokens;
    for (std::size_t first = 0; first < end; first += kChunkTokens<kTiles>) {
      const std::size_t chunk_end = least(first + kChunkTokens<kTiles>, end);
      for (std::size_t t = first; t < chunk_end; t += kTileTokens) {
        for (std::size_t i = 0; i < kAhead; ++i) ahead.line();
        multiply<kTiles>(part, t, scratch.sums + (t - first) * sizeof(std::int32_t));
      }
      finish_stores();
      for (std::size_t r = 0; r < part.n_rows; ++r) join(part, r, first, chunk_end);
    }
    finish_stores();
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
  Source source{rows, split, layout, scratch, Ahead(rows, split, layout.end)};
  gather_rows(rows, split, result, scratch.part, source);
}

void end() { _tile_release(); }

}  // namespace

const AttentionKernel kAmxQuantizedAttention{kMaxRows, scratch_bytes, begin, gather, end};

}  // namespace headwater::kernels::cpu
