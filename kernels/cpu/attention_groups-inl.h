// Scores and sums of keys and values in 4 bits, whose groups of 32 numbers have scales of their own. Compiled anew for
// every instruction set.

#if defined(HEADWATER_KERNELS_CPU_ATTENTION_GROUPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEADWATER_KERNELS_CPU_ATTENTION_GROUPS_INL_H_
#undef HEADWATER_KERNELS_CPU_ATTENTION_GROUPS_INL_H_
#else
#define HEADWATER_KERNELS_CPU_ATTENTION_GROUPS_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/cpu/attention_generic-inl.h"
#include "kernels/cpu/kv_code_scale.h"
#include "kernels/cpu/kv_codes.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

/// Codes in 32 bits: of each byte the lower half, then the upper one.
constexpr int kFieldsOf4 = 8;

/// What codes in floats exceed codes by. The bits of a code become the upper ones of a mantissa, which is quicker than
/// to convert it.
template <int kBits>
constexpr float kCodeOffset = 1 << kBits;

/// Field after field of words, as floats: codes and kCodeOffset.
template <int kBits, class D, class V>
HWY_INLINE hn::Vec<D> Code(D d, V words, int field) {
  const hn::RebindToUnsigned<D> du;
  constexpr int kMantissa = 23;
  const int left = kMantissa - kBits - field * kBits;
  const auto moved = left >= 0 ? hn::ShiftLeftSame(words, left) : hn::ShiftRightSame(words, -left);
  constexpr std::uint32_t kMask = ((1U << kBits) - 1U) << (kMantissa - kBits);
  constexpr std::uint32_t kExponent = (127U + kBits) << kMantissa;
  return hn::BitCast(d, hn::OrAnd(hn::Set(du, kExponent), moved, hn::Set(du, kMask)));
}

/// As group_scale() and group_minimum(), of tokens side by side.
template <class D>
HWY_INLINE hn::Vec<D> GroupScales(D d, const std::byte* bytes) {
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<std::uint8_t, D> d8;
  const auto wide = hn::PromoteTo(du, hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(bytes)));
  const auto bits = hn::Add(hn::ShiftLeft<kScaleShift>(wide), hn::Set(du, kLeastScaleBits));
  const auto nan = hn::Eq(wide, hn::Set(du, std::uint32_t{kNanScale}));
  return hn::BitCast(d, hn::IfThenElse(nan, hn::Set(du, 0x7FC00000U), bits));
}
/// Less kCodeOffset.
template <class D>
HWY_INLINE hn::Vec<D> GroupMinima(D d, const std::byte* bytes) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<std::uint8_t, D> d8;
  const auto wide = hn::PromoteTo(di, hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(bytes)));
  return hn::NegMulAdd(hn::ConvertTo(d, wide), hn::Set(d, kMinimumStep), hn::Set(d, kHighestMinimum - kCodeOffset<4>));
}

/// Keys of a block, from a token on.
struct GroupedKeys {
  const std::uint32_t* words;   ///< [head_dim / 8][block_tokens]
  const std::byte* parameters;  ///< [groups][2][block_tokens]
  std::size_t head_dim, block_tokens;
};

/// Vectors of tokens that N rows take at once: their sums and those of the group at hand stay in registers.
template <std::size_t N>
constexpr std::size_t kScoredVectors = N <= (HWY_TARGET <= HWY_AVX3 ? 5 : 2) ? 2 : 1;

/// scores[q][t] = sum over groups of scale of t * (queries[q] · codes of t + minimum of t * sum of query q), for the
/// tokens of V vectors. group_sums: [N][groups] of the queries.
template <std::size_t N, std::size_t V, class D>
HWY_INLINE void ScoreGroups(D d, const float* const* queries, const float* group_sums, const GroupedKeys& keys,
                            float* scores) {
  const hn::RebindToUnsigned<D> du;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t n_groups = group_count(keys.head_dim);
  const std::uint32_t* words = keys.words;
  hn::Vec<D> totals[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) totals[q][v] = hn::Zero(d);
  }
  for (std::size_t group = 0; group < n_groups; ++group) {
    const std::size_t size = group_size(keys.head_dim, group);
    hn::Vec<D> sums[N][V];
    for (std::size_t q = 0; q < N; ++q) {
      for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::Zero(d);
    }
    for (std::size_t quad = 0; quad < size / 8; ++quad, words += keys.block_tokens) {
      hn::Vec<decltype(du)> word[V];
      for (std::size_t v = 0; v < V; ++v) word[v] = hn::LoadU(du, words + v * lanes);
      const std::size_t first = group * kGroupDims + quad * 4;
#pragma GCC unroll 8
      for (int field = 0; field < kFieldsOf4; ++field) {
        const std::size_t i = first + static_cast<std::size_t>(field / 2) + (field % 2 == 1 ? size / 2 : 0);
        hn::Vec<D> code[V];
        for (std::size_t v = 0; v < V; ++v) code[v] = Code<4>(d, word[v], field);
        for (std::size_t q = 0; q < N; ++q) {
          const auto x = hn::Set(d, queries[q][i]);
          for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::MulAdd(x, code[v], sums[q][v]);
        }
      }
    }
    const std::byte* parameters = keys.parameters + group * 2 * keys.block_tokens;
    for (std::size_t v = 0; v < V; ++v) {
      const auto scale = GroupScales(d, parameters + v * lanes);
      const auto minimum = GroupMinima(d, parameters + keys.block_tokens + v * lanes);
      for (std::size_t q = 0; q < N; ++q) {
        const auto sum = hn::MulAdd(minimum, hn::Set(d, group_sums[q * n_groups + group]), sums[q][v]);
        totals[q][v] = hn::MulAdd(sum, scale, totals[q][v]);
      }
    }
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(totals[q][v], d, scores + q * kSplitTokens + v * lanes);
  }
}

/// Values of a block.
struct GroupedValues {
  const std::uint32_t* words;   ///< [block_tokens / 8][head_dim]
  const std::byte* parameters;  ///< [groups][2][block_tokens]
  std::size_t head_dim, block_tokens;
};

/// Tokens of a block that N rows see: [from[q], seen[q]), ascending.
template <std::size_t N>
struct SeenTokens {
  std::size_t from[N], seen[N];
};

/// Lanes of `lowest` for each row and group.
constexpr std::size_t kLowestLanes = HWY_MAX(8, hn::MaxLanes(Floats()));

/// Weights of N rows times the scales of a group, zero where a row does not see a token. Adds to `lowest`,
/// [N][kLowestLanes], the products with the minima. weights: kSplitTokens apart; scaled: [N][block_tokens].
template <std::size_t N, class D>
HWY_INLINE void ScaleWeightsOf(D d, const float* weights, const std::byte* parameters, std::size_t block_tokens,
                               const SeenTokens<N>& tokens, float* scaled, float* lowest) {
  const std::size_t lanes = hn::Lanes(d);
  const bool all_seen = tokens.from[N - 1] == 0 && tokens.seen[0] == block_tokens;
  const std::size_t end = HWY_MIN((tokens.seen[N - 1] + 15) / 16 * 16, block_tokens);
  for (std::size_t t = 0; t < end; t += lanes) {
    const auto scale = GroupScales(d, parameters + t);
    const auto minimum = GroupMinima(d, parameters + block_tokens + t);
    for (std::size_t q = 0; q < N; ++q) {
      auto weight = hn::Mul(hn::LoadU(d, weights + q * kSplitTokens + t), scale);
      if (!all_seen) {
        const std::size_t hidden = tokens.from[q] > t ? tokens.from[q] - t : 0;
        const std::size_t seen = tokens.seen[q] > t ? tokens.seen[q] - t : 0;
        weight = hn::IfThenElseZero(hn::AndNot(hn::FirstN(d, hidden), hn::FirstN(d, seen)), weight);
      }
      hn::StoreU(weight, d, scaled + q * block_tokens + t);
      float* low = lowest + q * kLowestLanes;
      hn::StoreU(hn::MulAdd(weight, minimum, hn::LoadU(d, low)), d, low);
    }
  }
}

/// sums[q][i …] += scaled[q][t] * codes of t for the first `n_words` words of tokens, V vectors of head_dim.
template <std::size_t N, std::size_t V, class D>
HWY_INLINE void MixGroup(D d, const float* scaled, const GroupedValues& values, std::size_t i, std::size_t n_words,
                         float* sums) {
  const hn::RebindToUnsigned<D> du;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D> mixed[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::LoadU(d, sums + q * values.head_dim + i + v * lanes);
  }
  for (std::size_t w = 0; w < n_words; ++w) {
    hn::Vec<decltype(du)> word[V];
    for (std::size_t v = 0; v < V; ++v) word[v] = hn::LoadU(du, values.words + w * values.head_dim + i + v * lanes);
#pragma GCC unroll 8
    for (int field = 0; field < kFieldsOf4; ++field) {
      const std::size_t t = w * 8 + static_cast<std::size_t>(field / 2) + (field % 2 == 1 ? 4 : 0);
      hn::Vec<D> code[V];
      for (std::size_t v = 0; v < V; ++v) code[v] = Code<4>(d, word[v], field);
      for (std::size_t q = 0; q < N; ++q) {
        const auto x = hn::Set(d, scaled[q * values.block_tokens + t]);
        for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::MulAdd(x, code[v], mixed[q][v]);
      }
    }
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(mixed[q][v], d, sums + q * values.head_dim + i + v * lanes);
  }
}

/// The values of a block. lowest: [groups][N][kLowestLanes]; scaled: room for [N][block_tokens].
template <std::size_t N>
HWY_INLINE void MixGroups(const float* weights, const GroupedValues& values, const SeenTokens<N>& tokens, float* scaled,
                          float* lowest, float* sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t n_words = (tokens.seen[N - 1] + 7) / 8;
  const std::size_t n_groups = group_count(values.head_dim);
  for (std::size_t group = 0; group < n_groups; ++group) {
    const std::byte* parameters = values.parameters + group * 2 * values.block_tokens;
    float* low = lowest + group * N * kLowestLanes;
    if (values.block_tokens < lanes) {  // 8 tokens
      ScaleWeightsOf<N>(hn::CappedTag<float, 8>(), weights, parameters, values.block_tokens, tokens, scaled, low);
    } else {
      ScaleWeightsOf<N>(d, weights, parameters, values.block_tokens, tokens, scaled, low);
    }
    std::size_t i = group * kGroupDims;
    const std::size_t end = i + group_size(values.head_dim, group);
    for (; i + 2 * lanes <= end; i += 2 * lanes) MixGroup<N, 2>(d, scaled, values, i, n_words, sums);
    for (; i + lanes <= end; i += lanes) MixGroup<N, 1>(d, scaled, values, i, n_words, sums);
    if (i < end) MixGroup<N, 1>(hn::CappedTag<float, 8>(), scaled, values, i, n_words, sums);
  }
}

/// Adds what the minima give to the sums. lowest: as of MixGroups().
template <std::size_t N>
HWY_INLINE void AddLowest(const float* lowest, std::size_t head_dim, float* sums) {
  const hn::CappedTag<float, 8> d;
  for (std::size_t group = 0; group < group_count(head_dim); ++group) {
    for (std::size_t q = 0; q < N; ++q, lowest += kLowestLanes) {
      auto all = hn::Zero(d);
      for (std::size_t i = 0; i < kLowestLanes; i += hn::Lanes(d)) all = hn::Add(all, hn::LoadU(d, lowest + i));
      const float low = hn::GetLane(hn::SumOfLanes(d, all));
      float* to = sums + q * head_dim + group * kGroupDims;
      for (std::size_t i = 0; i < group_size(head_dim, group); ++i) to[i] += low;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif
