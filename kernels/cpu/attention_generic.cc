// Attention by Highway: queries in float32, the sums of each row in the order of head_dim and of the context.

#include "kernels/cpu/attention_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_generic.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include "kernels/cpu/attention_generic-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

/// Two floats out of each 32 bits.
template <class D>
HWY_INLINE void Unpack(D d, const std::uint16_t* pairs, hn::Vec<D>& first, hn::Vec<D>& second) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(pairs));
  first = hn::BitCast(d, hn::ShiftLeft<16>(bits));
  second = hn::BitCast(d, hn::And(bits, hn::Set(du, 0xFFFF0000U)));
}

HWY_INLINE float Widen(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t{bits} << 16U;
  float value;
  __builtin_memcpy(&value, &wide, sizeof(value));
  return value;
}

/// scores[q][t] = queries[q] · keys of token t, for the tokens of V vectors.
template <std::size_t N, std::size_t V, class D>
HWY_INLINE void ScoreVectors(D d, const float* const* queries, const std::uint16_t* keys, std::size_t head_dim,
                             std::size_t block_tokens, float* scores) {
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D> sums[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::Zero(d);
  }
  for (std::size_t i = 0; i < head_dim; i += 2) {
    hn::Vec<D> even[V];
    hn::Vec<D> odd[V];
    for (std::size_t v = 0; v < V; ++v) Unpack(d, keys + (i / 2 * block_tokens + v * lanes) * 2, even[v], odd[v]);
    for (std::size_t q = 0; q < N; ++q) {
      const auto x = hn::Set(d, queries[q][i]);
      const auto y = hn::Set(d, queries[q][i + 1]);
      for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::MulAdd(x, even[v], sums[q][v]);
      for (std::size_t v = 0; v < V; ++v) sums[q][v] = hn::MulAdd(y, odd[v], sums[q][v]);
    }
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(sums[q][v], d, scores + q * kSplitTokens + v * lanes);
  }
}

/// The scores of the first `seen` tokens of a block, and of some beyond.
template <std::size_t N>
HWY_INLINE void Scores(const float* const* queries, const std::uint16_t* keys, std::size_t head_dim,
                       std::size_t block_tokens, std::size_t seen, float* scores) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t t = 0;
  if (block_tokens >= lanes) {
    for (; t + lanes < seen; t += 2 * lanes) {
      ScoreVectors<N, 2>(d, queries, keys + 2 * t, head_dim, block_tokens, scores + t);
    }
    if (t < seen) ScoreVectors<N, 1>(d, queries, keys + 2 * t, head_dim, block_tokens, scores + t);
  } else if (block_tokens == 8) {
    ScoreVectors<N, 1>(hn::CappedTag<float, 8>(), queries, keys, head_dim, block_tokens, scores);
  } else {
    const hn::CappedTag<float, 1> one;
    for (; t < seen; ++t) ScoreVectors<N, 1>(one, queries, keys + 2 * t, head_dim, block_tokens, scores + t);
  }
}

/// sums[q][i …] += weights[q][t] * values[t][i …] for pairs of tokens [first, end) in order, V vectors of head_dim.
template <std::size_t N, std::size_t V>
HWY_INLINE void MixVectors(const float* weights, const std::uint16_t* values, std::size_t head_dim, std::size_t first,
                           std::size_t end, float* sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<Floats> mixed[N][V];
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::LoadU(d, sums + q * head_dim + v * lanes);
  }
  for (std::size_t t = first; t < end; t += 2) {
    hn::Vec<Floats> even[V];
    hn::Vec<Floats> odd[V];
    for (std::size_t v = 0; v < V; ++v) Unpack(d, values + (t / 2 * head_dim + v * lanes) * 2, even[v], odd[v]);
    for (std::size_t q = 0; q < N; ++q) {
      const auto x = hn::Set(d, weights[q * kSplitTokens + t]);
      const auto y = hn::Set(d, weights[q * kSplitTokens + t + 1]);
      for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::MulAdd(x, even[v], mixed[q][v]);
      for (std::size_t v = 0; v < V; ++v) mixed[q][v] = hn::MulAdd(y, odd[v], mixed[q][v]);
    }
  }
  for (std::size_t q = 0; q < N; ++q) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(mixed[q][v], d, sums + q * head_dim + v * lanes);
  }
}

template <std::size_t N>
HWY_INLINE void Mix(const float* weights, const std::uint16_t* values, std::size_t head_dim, std::size_t first,
                    std::size_t end, float* sums) {
  const std::size_t lanes = hn::Lanes(Floats());
  std::size_t i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    MixVectors<N, 2>(weights, values + 2 * i, head_dim, first, end, sums + i);
  }
  for (; i + lanes <= head_dim; i += lanes) {
    MixVectors<N, 1>(weights, values + 2 * i, head_dim, first, end, sums + i);
  }
  for (; i < head_dim; ++i) {
    for (std::size_t q = 0; q < N; ++q) {
      float sum = sums[q * head_dim + i];
      for (std::size_t t = first; t < end; ++t) {
        sum += weights[q * kSplitTokens + t] * Widen(values[(t / 2 * head_dim + i) * 2 + t % 2]);
      }
      sums[q * head_dim + i] = sum;
    }
  }
}

/// As Mix() for one token, the first of a pair whose second may not be looked at. Rounds as that does.
HWY_INLINE void MixFirstOfPair(float weight, const std::uint16_t* values, std::size_t head_dim, float* sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= head_dim; i += lanes) {
    hn::Vec<Floats> even;
    hn::Vec<Floats> odd;
    Unpack(d, values + 2 * i, even, odd);
    hn::StoreU(hn::MulAdd(hn::Set(d, weight), even, hn::LoadU(d, sums + i)), d, sums + i);
  }
  for (; i < head_dim; ++i) sums[i] += weight * Widen(values[2 * i]);
}

/// Rows [row, row + N).
template <std::size_t N>
HWY_INLINE void GatherRows(const QueryRows& rows, const Split& split, std::size_t row, const Gathered& result) {
  const std::size_t dim = rows.head_dim;
  const std::size_t block_tokens = rows.block_tokens;
  const std::uint32_t* seen = split.seen + row;
  auto* scores = reinterpret_cast<float*>(rows.scratch);
  const auto within = [&](std::size_t first, std::size_t tokens) {
    return tokens <= first ? 0 : HWY_MIN(tokens - first, block_tokens);
  };
  const std::uint32_t* from = split.from == nullptr ? nullptr : split.from + row;
  const std::size_t begin = from == nullptr ? 0 : from[0] / block_tokens * block_tokens;
  for (std::size_t first = begin; first < seen[N - 1]; first += block_tokens) {
    Scores<N>(rows.queries + row, split.blocks[first / block_tokens], dim, block_tokens, within(first, seen[N - 1]),
              scores + first);
  }
  float* sums = result.sums + row * dim;
  for (std::size_t q = 0; q < N; ++q) {
    float* mine = scores + q * kSplitTokens;
    if (rows.cap > 0) CapScores(mine, begin, seen[q], rows.cap);
    if (from == nullptr) {
      Weigh(mine, seen[q], result.most[row + q], result.total[row + q]);
    } else {
      Weigh(mine, from[q], seen[q], result.most[row + q], result.total[row + q]);
    }
  }
  for (std::size_t i = 0; i < N * dim; ++i) sums[i] = 0;
  for (std::size_t first = begin; first < seen[N - 1]; first += block_tokens) {
    const std::uint16_t* values = split.blocks[first / block_tokens] + dim * block_tokens;
    // Rows whose window begins in a later block take nothing of this one: zero times a NaN would not be zero.
    std::size_t n = N;
    while (from != nullptr && from[n - 1] >= first + block_tokens && n > 1) --n;
    const std::size_t shared = n < N ? 0 : within(first, seen[0]) / 2 * 2;
    Mix<N>(scores + first, values, dim, 0, shared, sums);
    for (std::size_t q = 0; q < n; ++q) {
      const std::size_t end = within(first, seen[q]);
      const float* weights = scores + q * kSplitTokens + first;
      Mix<1>(weights, values, dim, shared, end / 2 * 2, sums + q * dim);
      if (end % 2 == 1) MixFirstOfPair(weights[end - 1], values + (end - 1) * dim, dim, sums + q * dim);
    }
  }
}

struct PlainKernel {
  template <std::size_t N>
  static HWY_INLINE void Rows(const QueryRows& rows, const Split& split, std::size_t row, const Gathered& result) {
    GatherRows<N>(rows, split, row, result);
  }
};

void Gather(const QueryRows& rows, const Split& split, const Gathered& result) {
  GatherAll<PlainKernel>(rows, split, result);
}

void Merge(const Gathered& into, const Gathered& later, std::size_t first_row, std::size_t end_row,
           std::size_t head_dim) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  HWY_ALIGN float mine[kMaxRows];
  HWY_ALIGN float others[kMaxRows];
  for (std::size_t row = first_row / lanes * lanes; row < end_row; row += lanes) {
    const auto most = hn::LoadU(d, into.most + row);
    const auto later_most = hn::LoadU(d, later.most + row);
    const auto greatest = hn::IfThenElse(hn::Gt(most, later_most), most, later_most);
    hn::Store(Exp2(d, hn::Sub(most, greatest)), d, mine + row);
    hn::Store(Exp2(d, hn::Sub(later_most, greatest)), d, others + row);
  }
  for (std::size_t row = first_row; row < end_row; ++row) {
    into.most[row] = into.most[row] > later.most[row] ? into.most[row] : later.most[row];
    into.total[row] = into.total[row] * mine[row] + later.total[row] * others[row];
    const auto scale = hn::Set(d, mine[row]);
    const auto other_scale = hn::Set(d, others[row]);
    float* sums = into.sums + row * head_dim;
    const float* more = later.sums + row * head_dim;
    std::size_t i = 0;
    for (; i + lanes <= head_dim; i += lanes) {
      const auto scaled = hn::Mul(hn::LoadU(d, sums + i), scale);
      hn::StoreU(hn::MulAdd(hn::LoadU(d, more + i), other_scale, scaled), d, sums + i);
    }
    for (; i < head_dim; ++i) sums[i] = sums[i] * mine[row] + more[i] * others[row];
  }
}

void Scale(const float* x, float factor, std::size_t n, float* out) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto by = hn::Set(d, factor);
  std::size_t i = 0;
  const auto zero = hn::Zero(d);
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::MulAdd(hn::LoadU(d, x + i), by, zero), d, out + i);
  for (; i < n; ++i) out[i] = x[i] * factor + 0.0F;
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels::cpu {
namespace {

HWY_EXPORT(Gather);
HWY_EXPORT(Merge);
HWY_EXPORT(Scale);

std::size_t scratch_bytes(std::size_t /*head_dim*/) { return kPairedRows * kSplitTokens * sizeof(float); }

}  // namespace

const AttentionKernel kGenericAttention{kPairedRows, scratch_bytes, [](const QueryRows&) {},
                                        [](const QueryRows& rows, const Split& split, const Gathered& result) {
                                          HWY_DYNAMIC_DISPATCH(Gather)(rows, split, result);
                                        },
                                        [] {}};

void scale(const float* x, float factor, std::size_t n, float* out) { HWY_DYNAMIC_DISPATCH(Scale)(x, factor, n, out); }
void merge(const Gathered& into, const Gathered& later, std::size_t first_row, std::size_t end_row,
           std::size_t head_dim) {
  HWY_DYNAMIC_DISPATCH(Merge)(into, later, first_row, end_row, head_dim);
}

}  // namespace headwater::kernels::cpu
#endif
