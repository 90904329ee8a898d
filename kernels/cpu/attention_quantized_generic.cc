// Attention over a quantised cache by Highway. With keys scale * code + minimum a score is
// scale * (query · codes) + minimum * (sum of the query), and likewise for values: codes are turned into floats in
// registers, and what they stand for is never written down. Here are 8 bits, in attention_groups-inl.h 4.

#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/kv_codes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_quantized_generic.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include "kernels/cpu/attention_generic-inl.h"
#include "kernels/cpu/attention_groups-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

/// Rows of QuantizedScratch::parameters.
enum CodeParameter : std::uint8_t { key_scale, key_minimum, value_scale, value_minimum };

/// The floats of the scratch memory.
struct QuantizedScratch {
  float query_sums[kPairedRows];
  float parameters[4][kSplitTokens];  ///< of 8 bits
  float scores[kShared * kSplitTokens];
  float scaled[kShared * kSplitTokens];  ///< weights of a block's tokens
  // then as many groups as a head has
  float* group_sums() { return reinterpret_cast<float*>(this + 1); }  ///< [kPairedRows][groups] of the queries
  /// [groups][kShared][kLowestLanes]
  float* lowest(std::size_t head_dim) { return group_sums() + kPairedRows * group_count(head_dim); }
};

/// scores[q][t] = scale of t * (queries[q] · codes of t) + minimum of t * sum of query q, for the tokens of V vectors.
template <std::size_t N, std::size_t V, class D>
HWY_INLINE void ScoreCodes(D d, const float* const* queries, const float* query_sums, const std::uint32_t* words,
                           std::size_t head_dim, std::size_t block_tokens, const float* scales, const float* minima,
                           float* scores) {
  const hn::RebindToUnsigned<D> du;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D> sums[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::Zero(d);
  }
  for (std::size_t quad = 0; quad < head_dim / 4; ++quad) {
    hn::Vec<decltype(du)> word[V];
    for (std::size_t v = 0; v < V; ++v) word[v] = hn::LoadU(du, words + quad * block_tokens + v * lanes);
#pragma GCC unroll 8
    for (int field = 0; field < 4; ++field) {
      hn::Vec<D> code[V];
      for (std::size_t v = 0; v < V; ++v) code[v] = Code<8>(d, word[v], field);
      for (std::size_t q = 0; q < N; ++q) {
        const auto x = hn::Set(d, queries[q][quad * 4 + static_cast<std::size_t>(field)]);
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

/// How many vectors.
template <std::size_t V>
struct Vectors {
  static constexpr std::size_t kCount = V;
};
/// Calls score(d, t, Vectors<V>()) for V vectors of tokens from t on, kMost at most, until `seen` are covered.
template <std::size_t kMost, class Score>
HWY_INLINE void ForTokens(std::size_t block_tokens, std::size_t seen, const Score& score) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  if (block_tokens < lanes) return score(hn::CappedTag<float, 8>(), 0, Vectors<1>());  // 8 tokens
  std::size_t t = 0;
  for (; t + (kMost - 1) * lanes < seen; t += kMost * lanes) score(d, t, Vectors<kMost>());
  if (t < seen) score(d, t, Vectors<1>());
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
template <std::size_t N, std::size_t V, class D>
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
#pragma GCC unroll 8
    for (int field = 0; field < 4; ++field) {
      hn::Vec<D> code[V];
      for (std::size_t v = 0; v < V; ++v) code[v] = Code<8>(d, word[v], field);
      for (std::size_t q = 0; q < N; ++q) {
        const auto x = hn::Set(d, weights[q * kSplitTokens + w * 4 + static_cast<std::size_t>(field)]);
        for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::MulAdd(x, code[v], mixed[q][v]);
      }
    }
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(mixed[q][v], d, sums + q * head_dim + v * lanes);
  }
}

/// The values of a block, of which the rows see `seen` tokens at most.
template <std::size_t N>
HWY_INLINE void MixBlock(const float* weights, const std::byte* codes, std::size_t head_dim, std::size_t seen,
                         float* sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto* words = reinterpret_cast<const std::uint32_t*>(codes);
  const std::size_t n_words = (seen + 3) / 4;
  std::size_t i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    MixCodes<N, 2>(d, weights, words + i, head_dim, n_words, sums + i);
  }
  for (; i + lanes <= head_dim; i += lanes) MixCodes<N, 1>(d, weights, words + i, head_dim, n_words, sums + i);
  if (i < head_dim) {  // 8 numbers
    MixCodes<N, 1>(hn::CappedTag<float, 8>(), weights, words + i, head_dim, n_words, sums + i);
  }
}

/// Parameters in bfloat16 of a block's tokens, as floats: scales, and kSplitTokens behind them minima of what Code()
/// gives.
HWY_INLINE void WidenParameters(const std::byte* block_parameters, std::size_t block_tokens, float* parameters) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToUnsigned<decltype(d)> dw;
  const hn::Rebind<std::uint16_t, decltype(d)> dh;
  const auto* bits = reinterpret_cast<const std::uint16_t*>(block_parameters);
  const auto widen = [&](const std::uint16_t* from)
                         HWY_ATTR { return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(dw, hn::LoadU(dh, from)))); };
  for (std::size_t t = 0; t < block_tokens; t += hn::Lanes(d)) {
    const auto scale = widen(bits + t);
    hn::StoreU(scale, d, parameters + t);
    const auto minimum = hn::NegMulAdd(hn::Set(d, kCodeOffset<8>), scale, widen(bits + block_tokens + t));
    hn::StoreU(minimum, d, parameters + kSplitTokens + t);
  }
}

/// Rows [row, row + N) and a split.
template <std::size_t N>
struct GatheredRows {
  const QueryRows& rows;
  const Split& split;
  const std::size_t row;
  QuantizedScratch& scratch = *reinterpret_cast<QuantizedScratch*>(rows.scratch);
  const std::size_t dim = rows.head_dim;
  const std::size_t block_tokens = rows.block_tokens;
  const CodeLayout layout = code_layout(rows.key_bits, rows.value_bits, dim, block_tokens);
  const std::uint32_t* const seen = split.seen + row;
  const std::uint32_t* const from = split.from == nullptr ? nullptr : split.from + row;
  const std::size_t begin = from == nullptr ? 0 : from[0] / block_tokens * block_tokens;
  const std::size_t end = seen[N - 1];

  HWY_INLINE std::size_t Within(std::size_t first) const { return HWY_MIN(end - first, block_tokens); }
  HWY_INLINE const std::byte* Block(std::size_t first) const {
    return reinterpret_cast<const std::byte*>(split.blocks[first / block_tokens]);
  }
  HWY_INLINE std::size_t From(std::size_t q) const { return from == nullptr ? 0 : from[q]; }

  /// Asks for the block after one: few rows are done with a block before the next would come by itself.
  HWY_INLINE void AskForNext(std::size_t first) const {
    if (rows.n_rows > kPairedRows / 2) return;
    const std::byte* next = first + block_tokens < end ? Block(first + block_tokens)
                            : split.n_next_blocks > 0  ? reinterpret_cast<const std::byte*>(split.next_blocks[0])
                                                       : nullptr;
    if (next == nullptr) return;
    constexpr std::size_t kLine = 64;
    for (std::size_t i = 0; i < layout.end; i += kLine) __builtin_prefetch(next + i);
  }

  /// The scores of a block's tokens that a row sees, and of some beyond.
  HWY_INLINE void Score(std::size_t first) const {
    const std::byte* block = Block(first);
    const auto* words = reinterpret_cast<const std::uint32_t*>(block);
    const float* const* queries = rows.queries + row;
    float* scores = scratch.scores + first;
    if (rows.key_bits == 8) {
      const float* scales = scratch.parameters[key_scale] + first;
      const float* minima = scratch.parameters[key_minimum] + first;
      ForTokens<2>(block_tokens, Within(first), [&](auto d, std::size_t t, auto vectors) HWY_ATTR {
        ScoreCodes<N, decltype(vectors)::kCount>(d, queries, scratch.query_sums + row, words + t, dim, block_tokens,
                                                 scales + t, minima + t, scores + t);
      });
      return;
    }
    const float* sums = scratch.group_sums() + row * group_count(dim);
    ForTokens<kScoredVectors<N>>(block_tokens, Within(first), [&](auto d, std::size_t t, auto vectors) HWY_ATTR {
      const GroupedKeys keys{words + t, block + layout.key_parameters + t, dim, block_tokens};
      ScoreGroups<N, decltype(vectors)::kCount>(d, queries, sums, keys, scores + t);
    });
  }

  HWY_INLINE void MixOf8(float* sums) const {
    float least[N];
    const std::size_t whole = (end + 7) / 8 * 8;
    for (std::size_t q = 0; q < N; ++q) {
      least[q] = ScaleWeights(scratch.scores + q * kSplitTokens, From(q), seen[q], whole,
                              scratch.parameters[value_scale], scratch.parameters[value_minimum]);
    }
    for (std::size_t first = begin; first < end; first += block_tokens) {
      MixBlock<N>(scratch.scores + first, Block(first) + layout.values, dim, Within(first), sums);
    }
    for (std::size_t q = 0; q < N; ++q) {
      for (std::size_t i = 0; i < dim; ++i) sums[q * dim + i] += least[q];
    }
  }

  HWY_INLINE void MixOf4(float* sums) const {
    float* lowest = scratch.lowest(dim);
    for (std::size_t i = 0; i < group_count(dim) * N * kLowestLanes; ++i) lowest[i] = 0;
    for (std::size_t first = begin; first < end; first += block_tokens) {
      SeenTokens<N> tokens;
      for (std::size_t q = 0; q < N; ++q) {
        tokens.from[q] = From(q) > first ? From(q) - first : 0;
        tokens.seen[q] = seen[q] > first ? HWY_MIN(seen[q] - first, block_tokens) : 0;
      }
      const std::byte* block = Block(first);
      const GroupedValues values{reinterpret_cast<const std::uint32_t*>(block + layout.values),
                                 block + layout.value_parameters, dim, block_tokens};
      MixGroups<N>(scratch.scores + first, values, tokens, scratch.scaled, lowest, sums);
    }
    AddLowest<N>(lowest, dim, sums);
  }
};

struct QuantizedKernel {
  template <std::size_t N>
  static HWY_INLINE void Rows(const QueryRows& rows, const Split& split, std::size_t row, const Gathered& result) {
    const GatheredRows<N> gathered{rows, split, row};
    for (std::size_t first = gathered.begin; first < gathered.end; first += rows.block_tokens) {
      gathered.AskForNext(first);
      gathered.Score(first);
    }
    for (std::size_t q = 0; q < N; ++q) {
      float* weights = gathered.scratch.scores + q * kSplitTokens;
      if (rows.cap > 0) CapScores(weights, gathered.begin, gathered.seen[q], rows.cap);
      if (gathered.from == nullptr) {
        Weigh(weights, gathered.seen[q], result.most[row + q], result.total[row + q]);
      } else {
        Weigh(weights, gathered.from[q], gathered.seen[q], result.most[row + q], result.total[row + q]);
      }
    }
    float* sums = result.sums + row * rows.head_dim;
    for (std::size_t i = 0; i < N * rows.head_dim; ++i) sums[i] = 0;
    rows.value_bits == 8 ? gathered.MixOf8(sums) : gathered.MixOf4(sums);
  }
};

void BeginQuantized(const QueryRows& rows) {
  auto& scratch = *reinterpret_cast<QuantizedScratch*>(rows.scratch);
  const hn::CappedTag<float, 8> d;
  const auto sum_of = [&](const float* x, std::size_t n) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (std::size_t i = 0; i < n; i += hn::Lanes(d)) sum = hn::Add(sum, hn::LoadU(d, x + i));
    return hn::GetLane(hn::SumOfLanes(d, sum));
  };
  float* group_sums = scratch.group_sums();
  for (std::size_t row = 0; row < rows.n_rows; ++row) {
    scratch.query_sums[row] = sum_of(rows.queries[row], rows.head_dim);
    for (std::size_t group = 0; group < group_count(rows.head_dim); ++group) {
      *group_sums++ = sum_of(rows.queries[row] + group * kGroupDims, group_size(rows.head_dim, group));
    }
  }
}

void GatherQuantized(const QueryRows& rows, const Split& split, const Gathered& result) {
  auto& scratch = *reinterpret_cast<QuantizedScratch*>(rows.scratch);
  const CodeLayout layout = code_layout(rows.key_bits, rows.value_bits, rows.head_dim, rows.block_tokens);
  const std::size_t begin = split.from == nullptr ? 0 : split.from[0] / rows.block_tokens * rows.block_tokens;
  for (std::size_t first = begin; first < split.seen[rows.n_rows - 1]; first += rows.block_tokens) {
    const auto* block = reinterpret_cast<const std::byte*>(split.blocks[first / rows.block_tokens]);
    if (rows.key_bits == 8) {
      WidenParameters(block + layout.key_parameters, rows.block_tokens, scratch.parameters[key_scale] + first);
    }
    if (rows.value_bits == 8) {
      WidenParameters(block + layout.value_parameters, rows.block_tokens, scratch.parameters[value_scale] + first);
    }
  }
  GatherAll<QuantizedKernel>(rows, split, result);
}

std::size_t QuantizedScratchBytes(std::size_t head_dim) {
  return sizeof(QuantizedScratch) + (kPairedRows + kShared * kLowestLanes) * group_count(head_dim) * sizeof(float);
}

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
    kPairedRows, [](std::size_t head_dim) { return HWY_DYNAMIC_DISPATCH(QuantizedScratchBytes)(head_dim); },
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
