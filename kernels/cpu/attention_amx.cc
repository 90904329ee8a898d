// Attention over a 16-bit cache by AMX: keys and values go into tiles as the arena holds them, queries rounded to
// bfloat16. Two tiles of 16 rows share each tile of keys.

#include "kernels/cpu/attention_tiles_amx.h"

namespace headwater::kernels::cpu {
namespace {

using namespace attention_tiles;  // NOLINT: this file is one of those that they are for

/// Where the parts of the scratch memory lie.
struct Scratch {
  std::byte* queries;  ///< [tiles of rows][steps of head_dim][16 rows][32] bfloat16
  std::byte* keys;     ///< two tiles: the last step of head_dim, where that is half a step
  std::byte* part;     ///< [part_bytes(head_dim)]
};
inline std::size_t steps_of(std::size_t head_dim) { return (head_dim + kStepDims - 1) / kStepDims; }
inline Scratch parts(std::byte* scratch, std::size_t head_dim) {
  Scratch result;
  result.queries = scratch;
  result.keys = result.queries + kPairedRows / kTileRows * steps_of(head_dim) * kTileBytes;
  result.part = result.keys + 2 * kTileBytes;
  return result;
}
std::size_t scratch_bytes(std::size_t head_dim) {
  return (kPairedRows / kTileRows * steps_of(head_dim) + 2) * kTileBytes + part_bytes(head_dim);
}

inline const std::uint16_t* keys_of(const Part& part, std::size_t token) {
  const std::size_t block_tokens = part.rows->block_tokens;
  return part.split->blocks[token / block_tokens] + token % block_tokens * 2;
}

/// 16 dimensions of the keys of 32 tokens as two tiles whose other half is zero.
void pad_keys(const std::uint16_t* keys, std::size_t block_tokens, std::byte* tiles) {
  for (std::size_t pair = 0; pair < kTileRows; ++pair) {
    const std::uint16_t* from = keys + pair * block_tokens * 2;
    const bool given = pair < kTileRows / 2;
    _mm512_store_si512(tiles + pair * 64, given ? _mm512_loadu_si512(from) : _mm512_setzero_si512());
    _mm512_store_si512(tiles + kTileBytes + pair * 64, given ? _mm512_loadu_si512(from + 32) : _mm512_setzero_si512());
  }
  finish_stores();
}

/// Scores of one or two tiles of rows and 32 tokens.
template <int kTiles>
void score_group(const Part& part, const Scratch& scratch, std::size_t group) {
  const std::size_t stride = part.rows->block_tokens * 4;
  const std::size_t steps = steps_of(part.rows->head_dim);
  const std::uint16_t* keys = keys_of(part, group * kGroupTokens);
  const std::byte* queries =
      scratch.queries + part.first_row / kTileRows * steps * kTileBytes + part.first_row % kTileRows * 64;
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTiles == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
  const std::uint16_t* next =
      kTiles == 2 && group + 1 < part.n_groups ? keys_of(part, (group + 1) * kGroupTokens) : nullptr;
  for (std::size_t step = 0; step < steps; ++step) {
    if (next != nullptr && (step + 1) * kStepDims <= part.rows->head_dim) {
      prefetch_tile(next, stride);
      prefetch_tile(next + kTileRows * 2, stride);
      next += kTileRows * part.rows->block_tokens * 2;
    }
    if ((step + 1) * kStepDims <= part.rows->head_dim) {
      _tile_loadd(6, keys, stride);
      _tile_loadd(7, keys + kTileRows * 2, stride);
    } else {
      pad_keys(keys, part.rows->block_tokens, scratch.keys);
      _tile_loadd(6, scratch.keys, 64);
      _tile_loadd(7, scratch.keys + kTileBytes, 64);
    }
    _tile_loadd(4, queries, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kTiles == 2) {
      _tile_loadd(5, queries + steps * kTileBytes, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    queries += kTileBytes;
    keys += kTileRows * part.rows->block_tokens * 2;
  }
  std::byte* scores = part.scores + group * kGroupTokens * sizeof(float);
  _tile_stored(0, scores, kRowBytes);
  _tile_stored(1, scores + 64, kRowBytes);
  if constexpr (kTiles == 2) {
    _tile_stored(2, scores + kTileRows * kRowBytes, kRowBytes);
    _tile_stored(3, scores + kTileRows * kRowBytes + 64, kRowBytes);
  }
}

/// The arena as it lies, for attention_tiles.
struct Source {
  const QueryRows& rows;
  const Split& split;
  Scratch scratch;
  const std::uint16_t* values[kSplitTokens / kGroupTokens];

  template <int kTiles>
  void score(const Part& part) const {
    const std::size_t head_bytes = 2 * rows.head_dim * rows.block_tokens * sizeof(std::uint16_t);
    for (std::size_t group = 0; group < part.n_groups; ++group) {
      score_group<kTiles>(part, scratch, group);
      // A last split may be short, and what comes after it long.
      const std::size_t end = (group + 1) * kNextParts / part.n_groups;
      for (std::size_t i = group * kNextParts / part.n_groups; i < end; ++i) prefetch_next(split, head_bytes, i);
    }
  }
  void make_values() { find_values(rows, split, values); }
};

void begin(const QueryRows& rows) {
  const std::size_t steps = steps_of(rows.head_dim);
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  const std::size_t padded = stored_rows(rows.n_rows);
  const __m512 units = _mm512_set1_ps(kScoreUnits);
  for (std::size_t row = 0; row < padded; ++row) {
    for (std::size_t step = 0; step < steps; ++step) {
      const std::size_t left = row < rows.n_rows ? rows.head_dim - step * kStepDims : 0;
      const float* query = row < rows.n_rows ? rows.queries[row] + step * kStepDims : nullptr;
      const __m512 low = left >= 16 ? _mm512_mul_ps(_mm512_loadu_ps(query), units) : _mm512_setzero_ps();
      const __m512 high = left >= 32 ? _mm512_mul_ps(_mm512_loadu_ps(query + 16), units) : _mm512_setzero_ps();
      std::byte* out = scratch.queries + ((row / kTileRows * steps + step) * kTileRows + row % kTileRows) * 64;
      _mm512_store_si512(out, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    }
  }
}

void gather(const QueryRows& rows, const Split& split, const Gathered& result) {
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  Source source{rows, split, scratch, {}};
  gather_rows(rows, split, result, scratch.part, source);
}

void end() { _tile_release(); }

}  // namespace

const AttentionKernel kAmxAttention{kPairedRows, scratch_bytes, begin, gather, end};

}  // namespace headwater::kernels::cpu
