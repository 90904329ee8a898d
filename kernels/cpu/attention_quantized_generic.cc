// Attention over a quantised cache by Highway. With keys scale * code + minimum a score is
// scale * (query · codes) + minimum * (sum of the query), and likewise for values: codes are turned into floats in
// registers, and what they stand for is never written down.

#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/kv_codes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_quantized_generic.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include "kernels/cpu/attention_generic-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

/// The floats of the scratch memory, at its beginning.
struct QuantizedScratch {
  float query_sums[kPairedRows];
  float parameters[4][kSplitTokens];  ///< by CodeParameter
  float scores[kShared * kSplitTokens];
};

/// Codes in 32 bits of keys or values.
template <int kBits>
constexpr int kFields = 32 / kBits;
/// Which of the numbers in 32 bits the field is: with 4 bits those of two quads alternate.
template <int kBits>
constexpr std::size_t InQuad(int field) {
  return static_cast<std::size_t>(kBits == 8 ? field : field / 2);
}
template <int kBits>
constexpr bool InSecondQuad(int field) {
  return kBits == 4 && field % 2 == 1;
}

/// Field after field of words, as floats.
template <int kBits, class D, class V>
HWY_INLINE hn::Vec<D> Code(D d, V words, int field) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto code = hn::And(hn::ShiftRightSame(words, field * kBits), hn::Set(du, (1U << kBits) - 1U));
  return hn::ConvertTo(d, hn::BitCast(di, code));
}

/// scores[q][t] = scale of t * (queries[q] · codes of t) + minimum of t * sum of query q, for the tokens of V vectors.
template <int kBits, std::size_t N, std::size_t V, class D>
HWY_INLINE void ScoreCodes(D d, const float* const* queries, const float* query_sums, const std::uint32_t* words,
                           std::size_t head_dim, std::size_t block_tokens, const float* scales, const float* minima,
                           float* scores) {
  const hn::RebindToUnsigned<D> du;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D> sums[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::Zero(d);
  }
  const std::size_t half = head_dim / 2;
  for (std::size_t quad = 0; quad < head_dim * kBits / 32; ++quad) {
    hn::Vec<decltype(du)> word[V];
    for (std::size_t v = 0; v < V; ++v) word[v] = hn::LoadU(du, words + quad * block_tokens + v * lanes);
    for (int field = 0; field < kFields<kBits>; ++field) {
      const std::size_t i = quad * 4 + InQuad<kBits>(field) + (InSecondQuad<kBits>(field) ? half : 0);
      hn::Vec<D> code[V];
      for (std::size_t v = 0; v < V; ++v) code[v] = Code<kBits>(d, word[v], field);
      for (std::size_t q = 0; q < N; ++q) {
        const auto x = hn::Set(d, queries[q][i]);
        for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::MulAdd(x, code[v], sums[q][v]);
      }
    }
  }
  for (std::size_t v = 0; v < V; ++v) {
    const auto scale = hn::LoadU(d, scales + v * lanes);
    const auto minimum = hn::LoadU(d, minima + v * lanes);
    for (std::size_t q = 0; q < N; ++q) {
      const auto least = hn::Mul(minimum, hn::Set(d, query_sums[q]));
      hn::StoreU(hn::MulAdd(sums[q][v], scale, least), d, scores + q * kSplitTokens + v * lanes);
    }
  }
}

/// The scores of the first `seen` tokens of a block, and of some beyond.
template <int kBits, std::size_t N>
HWY_INLINE void BlockScores(const float* const* queries, const float* query_sums, const std::byte* codes,
                            std::size_t head_dim, std::size_t block_tokens, std::size_t seen, const float* scales,
                            const float* minima, float* scores) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto* words = reinterpret_cast<const std::uint32_t*>(codes);
  if (block_tokens < lanes) {  // 8 tokens
    ScoreCodes<kBits, N, 1>(hn::CappedTag<float, 8>(), queries, query_sums, words, head_dim, block_tokens, scales,
                            minima, scores);
    return;
  }
  std::size_t t = 0;
  for (; t + lanes < seen; t += 2 * lanes) {
    ScoreCodes<kBits, N, 2>(d, queries, query_sums, words + t, head_dim, block_tokens, scales + t, minima + t,
                            scores + t);
  }
  if (t < seen) {
    ScoreCodes<kBits, N, 1>(d, queries, query_sums, words + t, head_dim, block_tokens, scales + t, minima + t,
                            scores + t);
  }
}

/// Weights of tokens [begin, seen) times the scales of their values, zero beside them, up to `end`; gives the sum of
/// weights times minima.
HWY_INLINE float ScaleWeights(float* weights, std::size_t begin, std::size_t seen, std::size_t end, const float* scales,
                              const float* minima) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  for (std::size_t t = begin / lanes * lanes; t < end; t += lanes) {
    const auto kept = hn::AndNot(hn::FirstN(d, begin > t ? begin - t : 0), hn::FirstN(d, seen > t ? seen - t : 0));
    const auto weight = hn::LoadU(d, weights + t);
    sum = hn::Add(sum, hn::IfThenElseZero(kept, hn::Mul(weight, hn::LoadU(d, minima + t))));
    hn::StoreU(hn::IfThenElseZero(kept, hn::Mul(weight, hn::LoadU(d, scales + t))), d, weights + t);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

/// sums[q][i …] += weights[q][t] * codes of t for the first `n_words` words of tokens, V vectors of head_dim.
template <int kBits, std::size_t N, std::size_t V, class D>
HWY_INLINE void MixCodes(D d, const float* weights, const std::uint32_t* words, std::size_t head_dim,
                         std::size_t n_words, float* sums) {
  const hn::RebindToUnsigned<D> du;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D> mixed[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::LoadU(d, sums + q * head_dim + v * lanes);
  }
  for (std::size_t w = 0; w < n_words; ++w) {
    hn::Vec<decltype(du)> word[V];
    for (std::size_t v = 0; v < V; ++v) word[v] = hn::LoadU(du, words + w * head_dim + v * lanes);
    for (int field = 0; field < kFields<kBits>; ++field) {
      const std::size_t t = w * (32 / kBits) + InQuad<kBits>(field) + (InSecondQuad<kBits>(field) ? 4 : 0);
      hn::Vec<D> code[V];
      for (std::size_t v = 0; v < V; ++v) code[v] = Code<kBits>(d, word[v], field);
      for (std::size_t q = 0; q < N; ++q) {
        const auto x = hn::Set(d, weights[q * kSplitTokens + t]);
        for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::MulAdd(x, code[v], mixed[q][v]);
      }
    }
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(mixed[q][v], d, sums + q * head_dim + v * lanes);
  }
}

/// The values of a block, of which the rows see `seen` tokens at most.
template <int kBits, std::size_t N>
HWY_INLINE void MixBlock(const float* weights, const std::byte* codes, std::size_t head_dim, std::size_t seen,
                         float* sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto* words = reinterpret_cast<const std::uint32_t*>(codes);
  const std::size_t n_words = (seen + kFields<kBits> - 1) / kFields<kBits>;
  std::size_t i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    MixCodes<kBits, N, 2>(d, weights, words + i, head_dim, n_words, sums + i);
  }
  for (; i + lanes <= head_dim; i += lanes) {
    MixCodes<kBits, N, 1>(d, weights, words + i, head_dim, n_words, sums + i);
  }
  if (i < head_dim) {  // 8 numbers
    MixCodes<kBits, N, 1>(hn::CappedTag<float, 8>(), weights, words + i, head_dim, n_words, sums + i);
  }
}

/// The parameters of a block's tokens, as floats.
HWY_INLINE void WidenParameters(const std::byte* block_parameters, std::size_t block_tokens, std::size_t first,
                                QuantizedScratch& scratch) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToUnsigned<decltype(d)> dw;
  const hn::Rebind<std::uint16_t, decltype(d)> dh;
  const auto* bits = reinterpret_cast<const std::uint16_t*>(block_parameters);
  for (std::size_t which = 0; which < 4; ++which) {
    for (std::size_t t = 0; t < block_tokens; t += hn::Lanes(d)) {
      const auto wide = hn::PromoteTo(dw, hn::LoadU(dh, bits + which * block_tokens + t));
      hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(wide)), d, scratch.parameters[which] + first + t);
    }
  }
}

/// Rows [row, row + N).
template <std::size_t N>
HWY_INLINE void GatherRows(const QueryRows& rows, const Split& split, std::size_t row, const Gathered& result) {
  auto& scratch = *reinterpret_cast<QuantizedScratch*>(rows.scratch);
  const std::size_t dim = rows.head_dim;
  const std::size_t block_tokens = rows.block_tokens;
  const CodeLayout layout = code_layout(rows.key_bits, rows.value_bits, dim, block_tokens);
  const std::uint32_t* seen = split.seen + row;
  const std::size_t end = seen[N - 1];
  const auto within = [&](std::size_t first) { return HWY_MIN(end - first, block_tokens); };
  const auto block = [&](std::size_t first) {
    return reinterpret_cast<const std::byte*>(split.blocks[first / block_tokens]);
  };
  const float* const* queries = rows.queries + row;
  const float* query_sums = scratch.query_sums + row;
  const std::uint32_t* from = split.from == nullptr ? nullptr : split.from + row;
  const std::size_t begin = from == nullptr ? 0 : from[0] / block_tokens * block_tokens;
  for (std::size_t first = begin; first < end; first += block_tokens) {
    const float* scales = scratch.parameters[key_scale] + first;
    const float* minima = scratch.parameters[key_minimum] + first;
    const auto score = rows.key_bits == 8 ? BlockScores<8, N> : BlockScores<4, N>;
    score(queries, query_sums, block(first), dim, block_tokens, within(first), scales, minima, scratch.scores + first);
  }
  float* sums = result.sums + row * dim;
  float least[N];
  const std::size_t whole = (end + 7) / 8 * 8;
  for (std::size_t q = 0; q < N; ++q) {
    float* weights = scratch.scores + q * kSplitTokens;
    if (rows.cap > 0) CapScores(weights, begin, seen[q], rows.cap);
    if (from == nullptr) {
      Weigh(weights, seen[q], result.most[row + q], result.total[row + q]);
    } else {
      Weigh(weights, from[q], seen[q], result.most[row + q], result.total[row + q]);
    }
    least[q] = ScaleWeights(weights, from == nullptr ? 0 : from[q], seen[q], whole, scratch.parameters[value_scale],
                            scratch.parameters[value_minimum]);
  }
  for (std::size_t i = 0; i < N * dim; ++i) sums[i] = 0;
  for (std::size_t first = begin; first < end; first += block_tokens) {
    const auto mix = rows.value_bits == 8 ? MixBlock<8, N> : MixBlock<4, N>;
    mix(scratch.scores + first, block(first) + layout.values, dim, within(first), sums);
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t i = 0; i < dim; ++i) sums[q * dim + i] += least[q];
  }
}

struct QuantizedKernel {
  template <std::size_t N>
  static HWY_INLINE void Rows(const QueryRows& rows, const Split& split, std::size_t row, const Gathered& result) {
    GatherRows<N>(rows, split, row, result);
  }
};

void BeginQuantized(const QueryRows& rows) {
  auto& scratch = *reinterpret_cast<QuantizedScratch*>(rows.scratch);
  const hn::CappedTag<float, 8> d;
  for (std::size_t row = 0; row < rows.n_rows; ++row) {
    auto sum = hn::Zero(d);
    for (std::size_t i = 0; i < rows.head_dim; i += hn::Lanes(d))
      sum = hn::Add(sum, hn::LoadU(d, rows.queries[row] + i));
    scratch.query_sums[row] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

void GatherQuantized(const QueryRows& rows, const Split& split, const Gathered& result) {
  auto& scratch = *reinterpret_cast<QuantizedScratch*>(rows.scratch);
  const CodeLayout layout = code_layout(rows.key_bits, rows.value_bits, rows.head_dim, rows.block_tokens);
  const std::size_t begin = split.from == nullptr ? 0 : split.from[0] / rows.block_tokens * rows.block_tokens;
  for (std::size_t first = begin; first < split.seen[rows.n_rows - 1]; first += rows.block_tokens) {
    const auto* block = reinterpret_cast<const std::byte*>(split.blocks[first / rows.block_tokens]);
    WidenParameters(block + layout.parameters, rows.block_tokens, first, scratch);
  }
  GatherAll<QuantizedKernel>(rows, split, result);
}

std::size_t QuantizedScratchBytes() { return sizeof(QuantizedScratch); }

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels::cpu {
namespace {

HWY_EXPORT(BeginQuantized);
HWY_EXPORT(GatherQuantized);
HWY_EXPORT(QuantizedScratchBytes);

}  // namespace

const AttentionKernel kGenericQuantizedAttention{
    kPairedRows, [](std::size_t /*head_dim*/) { return HWY_DYNAMIC_DISPATCH(QuantizedScratchBytes)(); },
    [](const QueryRows& rows) {
      HWY_DYNAMIC_DISPATCH(BeginQuantized)
      (rows);
    },
    [](const QueryRows& rows, const Split& split, const Gathered& result) {
      HWY_DYNAMIC_DISPATCH(GatherQuantized)(rows, split, result);
    },
    [] {}};

}  // namespace headwater::kernels::cpu
#endif
