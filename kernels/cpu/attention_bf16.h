#pragma once
// What attention in bfloat16 does alike by tiles and by vectors: a row's scores become its weights where they lie.

#include <immintrin.h>

#include "kernels/cpu/attention_avx512.h"
#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/exp2_avx512.h"

// Files for different instruction sets include this: what is inline here must be inlined.

namespace headwater::kernels::cpu::attention_bf16 {

inline constexpr std::size_t kGroupTokens = 32;  // weights of as many fill a vector
/// Scores of a row, and a cache line more, so that those of several rows lie in different sets of the cache.
inline constexpr std::size_t kRowBytes = kSplitTokens * sizeof(float) + 64;

/// The first `n` of 32 lanes.
[[gnu::always_inline]] inline __mmask32 first_lanes_of_32(std::size_t n) {
  return static_cast<__mmask32>(n >= 32 ? 0xFFFFFFFFU : (1U << n) - 1U);
}

/// The greatest score of [0, seen); a NaN is passed over.
[[gnu::always_inline]] inline float greatest_of(const float* scores, std::size_t seen) {
  const __m512 nothing = _mm512_set1_ps(-__builtin_inff());
  __m512 most = nothing;
  for (std::size_t t = 0; t < seen; t += 16) {
    most = _mm512_max_ps(_mm512_mask_load_ps(nothing, first_lanes(seen - t), scores + t), most);
  }
  return _mm512_reduce_max_ps(most);
}

/// 2^x of 32 numbers, none above zero, in bfloat16.
[[gnu::always_inline]] inline __m512i bf16_powers(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(exp2_to_1e4(high), exp2_to_1e4(low)));
}

/// A row's scores become weights, bfloat16, zero beyond what the row sees; gives their sum, in parts. powers: of 32
/// scores.
template <class Powers>
[[gnu::always_inline]] inline __m512 weigh(std::byte* row, std::size_t seen, std::size_t n_groups,
                                           const Powers& powers) {
  const auto* scores = reinterpret_cast<const float*>(row);
  const __m512bh ones = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F80));
  __m512 sum = _mm512_setzero_ps();
  std::size_t group = 0;
  // Never ahead of what is still to be read: a score takes four bytes, a weight two.
  for (; (group + 1) * kGroupTokens <= seen; ++group) {
    const __m512i weights = powers(scores + group * kGroupTokens);
    _mm512_store_si512(row + group * 64, weights);
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(weights), ones);
  }
  for (; group < n_groups; ++group) {
    const std::size_t before = group * kGroupTokens;
    const __mmask32 kept = first_lanes_of_32(seen > before ? seen - before : 0);
    const __m512i weights = _mm512_maskz_mov_epi16(kept, powers(scores + before));
    _mm512_store_si512(row + group * 64, weights);
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(weights), ones);
  }
  return sum;
}

/// Where the values of each 32 tokens that some row sees begin, [16 pairs][head_dim][2].
[[gnu::always_inline]] inline void find_values(const QueryRows& rows, const Split& split,
                                               const std::uint16_t** values) {
  for (std::size_t t = 0; t < split.seen[rows.n_rows - 1]; t += kGroupTokens) {
    values[t / kGroupTokens] =
        split.blocks[t / rows.block_tokens] + rows.head_dim * (rows.block_tokens + t % rows.block_tokens);
  }
}

/// Whether a value that some rows see and others do not is a NaN or an infinity, which zero would not take away.
/// values: as of find_values().
[[gnu::always_inline]] inline bool has_trap(const QueryRows& rows, const Split& split,
                                            const std::uint16_t* const* values) {
  std::size_t row = 0;
  while (split.seen[row] == 0) ++row;
  const std::size_t end = split.seen[rows.n_rows - 1];
  const __m512i exponent = _mm512_set1_epi16(0x7F80);
  __mmask32 found = 0;
  for (std::size_t t = std::size_t{split.seen[row] / 2} * 2; t < end; t += 2) {
    const std::uint16_t* pair = values[t / kGroupTokens] + t % kGroupTokens * rows.head_dim;
    const __mmask32 kept = t + 1 < end ? 0xFFFFFFFFU : 0x55555555U;
    for (std::size_t i = 0; i < std::size_t{2} * rows.head_dim; i += 32) {
      const __m512i bits = _mm512_and_si512(_mm512_loadu_si512(pair + i), exponent);
      found |= _mm512_mask_cmpeq_epi16_mask(kept, bits, exponent);
    }
  }
  return found != 0;
}

}  // namespace headwater::kernels::cpu::attention_bf16
