// Attention over a quantised cache by AVX-512 VNNI.
//
// Both of its sums are products of bytes, four to a lane, and codes are such bytes as they lie, or halves of them. What
// they meet, a query's numbers or the weights of tokens times their scales, is rounded to whole numbers of 16 bits with
// a step of its own, 256 * high + low: two products. So the sums are exact, and rounding costs 1/65,000 of the greatest
// number. A scale and a minimum join the score, and likewise the sum of values.

#include <immintrin.h>

#include "kernels/cpu/attention_avx512.h"
#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/byte_sums_vnni.h"
#include "kernels/cpu/exp2_avx512.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/kv_parameters_avx512.h"

namespace headwater::kernels::cpu {
namespace {

using namespace byte_sums;  // NOLINT: this file is what they are for

/// Rows whose sums stay in registers, for two vectors of tokens or dimensions.
constexpr std::size_t kTogether = 6;
/// Codes of values are reckoned from here, so that what rounding a weight leaves is multiplied by less.
constexpr float kMiddleOf8 = 128;
constexpr float kMiddleOf4 = 8;

[[gnu::always_inline]] inline std::size_t up_to_lanes(std::size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// Where the parts of the scratch memory lie.
struct Scratch {
  float* scales;         ///< [kPairedRows], of queries
  float* totals;         ///< [kPairedRows], the sum of a query's numbers
  float* group_totals;   ///< [groups][kPairedRows], likewise of each group
  float* keys;           ///< [groups][2][kSplitTokens]: scales and minima; of 8 bits there is one group
  float* values;         ///< the same, minima of a code's middle
  float* scores;         ///< [kTogether][kSplitTokens]
  std::int8_t* queries;  ///< [head_dim / 4][kPairedRows][high, low][4]
  std::int8_t* weights;  ///< [kTogether][high, low][kSplitTokens]
  std::byte* end;
};
Scratch parts(std::byte* scratch, std::size_t head_dim) {
  const std::size_t groups = group_count(head_dim);
  Scratch result;
  result.scales = reinterpret_cast<float*>(scratch);
  result.totals = result.scales + kPairedRows;
  result.group_totals = result.totals + kPairedRows;
  result.keys = result.group_totals + groups * kPairedRows;
  result.values = result.keys + groups * 2 * kSplitTokens;
  result.scores = result.values + groups * 2 * kSplitTokens;
  result.queries = reinterpret_cast<std::int8_t*>(result.scores + kTogether * kSplitTokens);
  result.weights = result.queries + head_dim * kPairedRows * 2;
  result.end = reinterpret_cast<std::byte*>(result.weights + kTogether * 2 * kSplitTokens);
  return result;
}
std::size_t scratch_bytes(std::size_t head_dim) {
  std::byte* const begin = nullptr;
  return static_cast<std::size_t>(parts(begin, head_dim).end - begin);
}

void round_query(const float* query, const Scratch& scratch, std::size_t row, std::size_t head_dim) {
  const auto [scale, inverse] = query_step(query, head_dim, kWhole);
  std::int32_t total = 0;
  std::int32_t group_total = 0;
  for (std::size_t i = 0; i < head_dim; i += kLanes) {
    const Whole whole = round(_mm512_loadu_ps(query + i), inverse);
    std::int8_t* quads = scratch.queries + (i / 4 * kPairedRows + row) * 8;
    alignas(16) std::int32_t high[4];
    alignas(16) std::int32_t low[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(high), whole.high);
    _mm_store_si128(reinterpret_cast<__m128i*>(low), whole.low);
    for (std::size_t k = 0; k < 4; ++k, quads += kPairedRows * 8) {
      __builtin_memcpy(quads, high + k, 4);
      __builtin_memcpy(quads + 4, low + k, 4);
    }
    const std::int32_t sum = _mm512_reduce_add_epi32(whole.number);
    total += sum;
    group_total = (i % kGroupDims == 0 ? 0 : group_total) + sum;
    scratch.group_totals[i / kGroupDims * kPairedRows + row] = static_cast<float>(group_total) * scale;
  }
  scratch.scales[row] = scale;
  scratch.totals[row] = static_cast<float>(total) * scale;
}

void begin(const QueryRows& rows) {
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  for (std::size_t row = 0; row < rows.n_rows; ++row) round_query(rows.queries[row], scratch, row, rows.head_dim);
}

/// Scores of [0, seen) become weights, and those up to the end of their vector 0.
void weigh(float* scores, std::size_t seen, float& most, float& total) {
  const __m512 nothing = _mm512_set1_ps(-__builtin_inff());
  __m512 greatest = nothing;
  for (std::size_t t = 0; t < seen; t += kLanes) {
    const __m512 x = _mm512_mask_mov_ps(nothing, first_lanes(seen - t), _mm512_load_ps(scores + t));
    greatest = _mm512_max_ps(x, greatest);  // a NaN is passed over
  }
  most = _mm512_reduce_max_ps(greatest);
  const __m512 shift = _mm512_set1_ps(most);
  __m512 sum = _mm512_setzero_ps();
  for (std::size_t t = 0; t < seen; t += kLanes) {
    const __m512 power = exp2_to_1e7(_mm512_sub_ps(_mm512_load_ps(scores + t), shift));
    const __m512 weights = _mm512_maskz_mov_ps(first_lanes(seen - t), power);
    _mm512_store_ps(scores + t, weights);
    sum = _mm512_add_ps(sum, weights);
  }
  total = _mm512_reduce_add_ps(sum);
}

/// A split's blocks, for the rows of a call.
struct Cache {
  const QueryRows& rows;
  const Split& split;
  Scratch scratch;
  CodeLayout layout;
  Ahead ahead;

  const std::byte* block(std::size_t first) const {
    return reinterpret_cast<const std::byte*>(split.blocks[first / rows.block_tokens]);
  }
  /// Scales and minima of the tokens from `first` on that a block holds, as floats.
  template <bool kValues>
  void widen_parameters(std::size_t first, std::size_t bits, std::size_t place, float* out) const {
    const std::byte* from = block(first) + place;
    if (bits == 8) {
      const auto* numbers = reinterpret_cast<const std::uint16_t*>(from);
      for (std::size_t t = 0; t < rows.block_tokens; t += kLanes) {
        const __m512 scale = widen(numbers + t);
        const __m512 minimum = widen(numbers + rows.block_tokens + t);
        const __m512 middle = _mm512_fmadd_ps(_mm512_set1_ps(kMiddleOf8), scale, minimum);
        _mm512_store_ps(out + first + t, scale);
        _mm512_store_ps(out + kSplitTokens + first + t, kValues ? middle : minimum);
      }
      return;
    }
    for (std::size_t group = 0; group < group_count(rows.head_dim); ++group) {
      for (std::size_t t = 0; t < rows.block_tokens; t += kLanes) {
        _mm512_store_ps(out + first + t, group_scales(from + t));
        const __m512 minimum = group_minima(from + rows.block_tokens + t);
        const __m512 middle = _mm512_add_ps(minimum, _mm512_set1_ps(kMiddleOf4));
        _mm512_store_ps(out + kSplitTokens + first + t, kValues ? middle : minimum);
      }
      from += 2 * rows.block_tokens;
      out += 2 * kSplitTokens;
    }
  }
};

/// Rows [row, row + N).
template <std::size_t N>
struct SomeRows {
  Cache& cache;
  const std::size_t row;
  const Scratch& scratch = cache.scratch;
  const std::size_t head_dim = cache.rows.head_dim;
  const std::size_t block_tokens = cache.rows.block_tokens;
  const std::size_t block_bytes = block_tokens * 4;  ///< of a quad
  const std::size_t end = cache.split.seen[row + N - 1];

  [[gnu::always_inline]] const std::int8_t* query(std::size_t quad) const {
    return scratch.queries + (quad * kPairedRows + row) * 8;
  }

  /// Scores of V vectors of tokens from t on.
  template <std::size_t V>
  void score_of_8(const std::byte* words, std::size_t t) const {
    ByteSums<N, V> sums;
    const std::int8_t* quads = query(0);
    for (std::size_t quad = 0; quad < head_dim / 4; ++quad, words += block_bytes, quads += kPairedRows * 8) {
      Words<V> codes;
      codes.load(words);
      sums.template add<8, 4>(codes.bytes, quads);
    }
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      const __m512 scale = _mm512_load_ps(scratch.keys + t + v * kLanes);
      const __m512 minimum = _mm512_load_ps(scratch.keys + kSplitTokens + t + v * kLanes);
#pragma GCC unroll 8
      for (std::size_t q = 0; q < N; ++q) {
        const __m512 scaled = _mm512_mul_ps(sums.at(q, v), _mm512_set1_ps(scratch.scales[row + q]));
        const __m512 lowest = _mm512_mul_ps(minimum, _mm512_set1_ps(scratch.totals[row + q]));
        _mm512_store_ps(scratch.scores + q * kSplitTokens + t + v * kLanes, _mm512_fmadd_ps(scaled, scale, lowest));
      }
    }
  }
  template <std::size_t V>
  void score_of_4(const std::byte* words, std::size_t t) const {
    std::size_t quad = 0;
    for (std::size_t group = 0; group < group_count(head_dim); ++group) {
      const std::size_t half = group_size(head_dim, group) / 8;
      ByteSums<N, V> sums;
      for (const std::size_t middle = quad + half; quad < middle; ++quad, words += block_bytes) {
        Words<V> codes;
        codes.load(words);
        codes.spread();
        sums.template add<8, 4>(codes.lower, query(quad));
        sums.template add<8, 4>(codes.upper, query(quad + half));
      }
      quad += half;
      join_group(sums, group, t);
    }
  }
  /// Adds scale * (sum + total * minimum) to scores.
  template <std::size_t V>
  [[gnu::always_inline]] inline void join_group(const ByteSums<N, V>& sums, std::size_t group, std::size_t t) const {
    const float* parameters = scratch.keys + group * 2 * kSplitTokens + t;
    const float* totals = scratch.group_totals + group * kPairedRows + row;
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      const __m512 scale = _mm512_load_ps(parameters + v * kLanes);
      const __m512 minimum = _mm512_load_ps(parameters + kSplitTokens + v * kLanes);
#pragma GCC unroll 8
      for (std::size_t q = 0; q < N; ++q) {
        float* score = scratch.scores + q * kSplitTokens + t + v * kLanes;
        const __m512 before = group == 0 ? _mm512_setzero_ps() : _mm512_load_ps(score);
        const __m512 lowest = _mm512_mul_ps(minimum, _mm512_set1_ps(totals[q]));
        const __m512 sum = _mm512_fmadd_ps(sums.at(q, v), _mm512_set1_ps(scratch.scales[row + q]), lowest);
        _mm512_store_ps(score, _mm512_fmadd_ps(sum, scale, before));
      }
    }
  }

  template <std::size_t V>
  void score(const std::byte* words, std::size_t t) const {
    cache.rows.key_bits == 8 ? score_of_8<V>(words, t) : score_of_4<V>(words, t);
  }
  void score_all() const {
    for (std::size_t first = 0; first < end; first += block_tokens) {
      const std::byte* keys = cache.block(first);
      const std::size_t within = least(block_tokens, up_to_lanes(end - first));
      std::size_t t = 0;
      for (; t + 2 * kLanes <= within; t += 2 * kLanes) {
        score<2>(keys + t * 4, first + t);
        ask_ahead();
      }
      if (t < within) score<1>(keys + t * 4, first + t);
    }
  }
  /// Both passes over a split ask for what comes next, so that it has come when they end.
  void ask_ahead() const {
    constexpr std::size_t kLine = 64;
    const std::size_t lines = cache.split.n_next_blocks * cache.layout.end / kLine / kNextParts + 1;
    for (std::size_t i = 0; i < lines; ++i) cache.ahead.line();
  }

  /// The weights of a row times scales as whole numbers, and what they are multiples of. lowest: what is to be added
  /// to the sums of codes by these.
  float round_weights(std::size_t q, const float* parameters, bool groups, float& lowest) const {
    const float* weights = scratch.scores + q * kSplitTokens;
    const std::size_t seen = cache.split.seen[row + q];
    const std::size_t stop = up_to_lanes(end);
    __m512 greatest = _mm512_setzero_ps();
    __m512 low = _mm512_setzero_ps();
    for (std::size_t t = 0; t < seen; t += kLanes) {
      const __mmask16 known = first_lanes(seen - t);
      const __m512 weight = _mm512_load_ps(weights + t);
      const __m512 scaled = _mm512_maskz_mul_ps(known, weight, _mm512_load_ps(parameters + t));
      const __m512 minimum = _mm512_maskz_mov_ps(known, _mm512_load_ps(parameters + kSplitTokens + t));
      greatest = _mm512_max_ps(scaled, greatest);  // a NaN is passed over
      low = _mm512_fmadd_ps(groups ? scaled : weight, minimum, low);
    }
    const float most = _mm512_reduce_max_ps(greatest);
    const __m512 inverse = inverse_step(most, kWhole);
    std::int8_t* high = scratch.weights + q * 2 * kSplitTokens;
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t t = 0; t < stop; t += kLanes) {
      const __mmask16 known = t < seen ? first_lanes(seen - t) : __mmask16{0};
      const __m512 weight = _mm512_maskz_load_ps(known, weights + t);
      const Whole whole = round(_mm512_maskz_mul_ps(known, weight, _mm512_load_ps(parameters + t)), inverse);
      _mm_store_si128(reinterpret_cast<__m128i*>(high + t), whole.high);
      _mm_store_si128(reinterpret_cast<__m128i*>(high + kSplitTokens + t), whole.low);
      sum = _mm512_add_epi32(sum, whole.number);
    }
    const float step = most / kWhole;
    const float middle = step * static_cast<float>(_mm512_reduce_add_epi32(sum)) * (groups ? kMiddleOf4 : kMiddleOf8);
    lowest = _mm512_reduce_add_ps(low) - middle;
    return step;
  }

  /// Sums of V vectors of dimensions from i on.
  template <std::size_t V, bool kGroups>
  void mix(std::size_t i, const float (&steps)[N], const float (&lowest)[N], float* out) const {
    ByteSums<N, V> sums;
    constexpr std::size_t kTokens = kGroups ? 8 : 4;  // of a word
    for (std::size_t first = 0; first < end; first += block_tokens) {
      const std::byte* words = cache.block(first) + cache.layout.values + i * 4;
      const std::int8_t* quads = scratch.weights + first;
      const std::size_t n = (least(block_tokens, end - first) + kTokens - 1) / kTokens;
      for (std::size_t w = 0; w < n; ++w, words += head_dim * 4, quads += kTokens) {
        Words<V> codes;
        codes.load(words);
        if constexpr (kGroups) {
          codes.spread();
          sums.template add<2 * kSplitTokens, kSplitTokens>(codes.lower, quads);
          sums.template add<2 * kSplitTokens, kSplitTokens>(codes.upper, quads + 4);
        } else {
          sums.template add<2 * kSplitTokens, kSplitTokens>(codes.bytes, quads);
        }
      }
    }
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) {
        const __m512 sum = _mm512_fmadd_ps(sums.at(q, v), _mm512_set1_ps(steps[q]), _mm512_set1_ps(lowest[q]));
        _mm512_storeu_ps(out + q * head_dim + i + v * kLanes, sum);
      }
    }
    ask_ahead();
  }
  /// Dimensions [i, stop).
  template <bool kGroups>
  void mix_all(std::size_t i, std::size_t stop, const float* parameters, float* out) const {
    float steps[N];
    float lowest[N];
    for (std::size_t q = 0; q < N; ++q) steps[q] = round_weights(q, parameters, kGroups, lowest[q]);
    for (; i + 2 * kLanes <= stop; i += 2 * kLanes) mix<2, kGroups>(i, steps, lowest, out);
    if (i < stop) mix<1, kGroups>(i, steps, lowest, out);
  }

  void gather(const Gathered& result) const {
    score_all();
    for (std::size_t q = 0; q < N; ++q) {
      weigh(scratch.scores + q * kSplitTokens, cache.split.seen[row + q], result.most[row + q], result.total[row + q]);
    }
    float* out = result.sums + row * head_dim;
    if (cache.rows.value_bits == 8) return mix_all<false>(0, head_dim, scratch.values, out);
    for (std::size_t group = 0; group < group_count(head_dim); ++group) {
      const std::size_t i = group * kGroupDims;
      mix_all<true>(i, i + group_size(head_dim, group), scratch.values + group * 2 * kSplitTokens, out);
    }
  }
};

/// The last rows, fewer than kTogether.
template <std::size_t N>
[[gnu::always_inline]] inline void gather_rest(Cache& cache, std::size_t row, const Gathered& result) {
  if constexpr (N > 0) {
    if (cache.rows.n_rows - row == N) return SomeRows<N>{cache, row}.gather(result);
    gather_rest<N - 1>(cache, row, result);
  }
}

void gather(const QueryRows& rows, const Split& split, const Gathered& result) {
  const CodeLayout layout = code_layout(rows.key_bits, rows.value_bits, rows.head_dim, rows.block_tokens);
  Cache cache{rows, split, parts(rows.scratch, rows.head_dim), layout, Ahead(split, layout.end)};
  for (std::size_t first = 0; first < split.seen[rows.n_rows - 1]; first += rows.block_tokens) {
    cache.widen_parameters<false>(first, rows.key_bits, layout.key_parameters, cache.scratch.keys);
    cache.widen_parameters<true>(first, rows.value_bits, layout.value_parameters, cache.scratch.values);
  }
  std::size_t row = 0;
  while (split.seen[row] == 0) ++row;
  for (; row + kTogether <= rows.n_rows; row += kTogether) SomeRows<kTogether>{cache, row}.gather(result);
  gather_rest<kTogether - 1>(cache, row, result);
  cache.ahead.rest();
}

}  // namespace

const AttentionKernel kVnniQuantizedAttention{kPairedRows, scratch_bytes, begin, gather, [] {}};

}  // namespace headwater::kernels::cpu
