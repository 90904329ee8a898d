// Attention over a quantised cache by AMX: products of whole numbers, which are exact. Keys go into tiles as the arena
// holds them where they have 8 bits, values where blocks are long enough; what has 4 bits is spread to bytes a split at
// a time, in the nearest cache.
//
// A query is rounded to whole numbers of 16 bits of its own scale, and a split's weights times the scales of their
// values to such of the greatest. Each is two planes of bytes: number = 256 * upper + lower. Up to 8 rows have both
// planes in one tile, one above the other; more have tiles of their own.

#include <immintrin.h>

#include "kernels/cpu/quantized_tiles_amx.h"

namespace headwater::kernels::cpu {
namespace {

using namespace quantized_tiles;  // NOLINT: this file is what they are for

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
