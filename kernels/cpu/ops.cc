#include "kernels/cpu/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/ops.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;

constexpr float kLowest = -3.0e38F;

/// The vector at x[i …], where only `n - i` values may be left: the rest is zero. By way of the stack, since masked
/// loads and stores of the older instruction sets touch what lies beyond the end.
HWY_INLINE Vec load_tail(Floats d, const float* x, std::size_t i, std::size_t n) {
  if (n - i >= hn::Lanes(d)) return hn::LoadU(d, x + i);
  HWY_ALIGN float lanes[hn::MaxLanes(d)] = {};
  for (std::size_t k = 0; i + k < n; ++k) lanes[k] = x[i + k];
  return hn::Load(d, lanes);
}
HWY_INLINE void store_tail(Floats d, Vec v, float* x, std::size_t i, std::size_t n) {
  if (n - i >= hn::Lanes(d)) {
    hn::StoreU(v, d, x + i);
    return;
  }
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (std::size_t k = 0; i + k < n; ++k) x[i + k] = lanes[k];
}

void RmsNorm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  Vec squares = hn::Zero(d);
  for (std::size_t i = 0; i < dim; i += lanes) {
    const Vec v = load_tail(d, x, i, dim);
    squares = hn::MulAdd(v, v, squares);
  }
  const float sum = hn::GetLane(hn::SumOfLanes(d, squares));
  const Vec scale = hn::Set(d, 1.0F / std::sqrt(sum / static_cast<float>(dim) + epsilon));
  for (std::size_t i = 0; i < dim; i += lanes) {
    const Vec scaled = hn::Mul(load_tail(d, x, i, dim), scale);
    store_tail(d, hn::Mul(scaled, load_tail(d, weight, i, dim)), out, i, dim);
  }
}

void Add(float* x, const float* y, std::size_t dim) {
  const Floats d;
  for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
    store_tail(d, hn::Add(load_tail(d, x, i, dim), load_tail(d, y, i, dim)), x, i, dim);
  }
}

void SiluMulRow(const float* gate, const float* up, std::size_t dim, float* out) {
  const Floats d;
  const Vec one = hn::Set(d, 1.0F);
  const Vec lowest = hn::Set(d, -88.0F);
  for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
    const Vec given = load_tail(d, gate, i, dim);
    // Exp() is good up to 104; below -88 the result is as good as zero anyway. A NaN stays.
    const Vec g = hn::IfThenElse(hn::Lt(given, lowest), lowest, given);
    const Vec silu = hn::Div(g, hn::Add(one, hn::Exp(d, hn::Neg(g))));
    store_tail(d, hn::Mul(silu, load_tail(d, up, i, dim)), out, i, dim);
  }
}

void SiluMul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride) {
  for (std::size_t r = 0; r < rows; ++r)
    SiluMulRow(gate_up + r * 2 * dim, gate_up + (r * 2 + 1) * dim, dim, out + r * stride);
}

void Rope(float* x, const float* cosines, const float* sines, std::size_t pairs, float scale) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const Vec factor = hn::Set(d, scale);
  std::size_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    Vec even;
    Vec odd;
    hn::LoadInterleaved2(d, x + 2 * i, even, odd);
    const Vec c = hn::LoadU(d, cosines + i);
    const Vec s = hn::LoadU(d, sines + i);
    const Vec turned_even = hn::Sub(hn::Mul(even, c), hn::Mul(odd, s));
    const Vec turned_odd = hn::Add(hn::Mul(even, s), hn::Mul(odd, c));
    hn::StoreInterleaved2(hn::Mul(turned_even, factor), hn::Mul(turned_odd, factor), d, x + 2 * i);
  }
  if (i < pairs) reference::rope(x + 2 * i, cosines + i, sines + i, pairs - i, scale);
}

void ToBf16(const float* x, std::size_t n, std::uint16_t* out) {
  const hn::ScalableTag<std::uint32_t> d32;
  const hn::Rebind<std::uint16_t, decltype(d32)> d16;
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto half = hn::Set(d32, 0x7FFFU);
  const auto one = hn::Set(d32, 1U);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Vec v = hn::LoadU(d, x + i);
    const auto bits = hn::BitCast(d32, v);
    const auto lowest_kept = hn::And(hn::ShiftRight<16>(bits), one);
    auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, half), lowest_kept));
    // Rounding could carry a NaN over to infinity: keep its upper half, and make sure it stays a NaN.
    const auto nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(d32, 0x40U));
    rounded = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(v)), nan, rounded);
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(hn::RebindToSigned<decltype(d32)>(), rounded)), d16, out + i);
  }
  if (i < n) reference::to_bf16(x + i, n - i, out + i);
}

void ToHalf(const float* x, std::size_t n, Half* out) {
#if HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR
  // No instruction for it, and Highway's stand-in cuts off instead of rounding.
  reference::to_half(x, n, out);
#else
  const Floats d;
  const hn::Rebind<hwy::float16_t, Floats> dh;
  const std::size_t lanes = hn::Lanes(d);
  const Vec most = hn::Set(d, 65504.0F);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Vec v = hn::LoadU(d, x + i);
    const Vec kept = hn::Max(hn::Min(v, most), hn::Neg(most));
    hn::StoreU(hn::DemoteTo(dh, hn::IfThenElse(hn::IsNaN(v), v, kept)), dh, reinterpret_cast<hwy::float16_t*>(out + i));
  }
  if (i < n) reference::to_half(x + i, n - i, out + i);
#endif
}

HWY_INLINE Vec load_half(Floats d, const Half* x) {
  const hn::Rebind<hwy::float16_t, Floats> dh;
  return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(x)));
}

/// scores[q][t] = queries[q] · keys[:, t] for N queries and all tokens of a block. The sum over head_dim runs in order,
/// for each token in a lane of its own: no horizontal sums, and the same order however many queries there are.
template <std::size_t N>
HWY_INLINE void Scores(const float* const* queries, const Half* keys, std::size_t head_dim, std::size_t tokens,
                       float* scores) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t t = 0;
  for (; t + 2 * lanes <= tokens; t += 2 * lanes) {
    Vec low[N];
    Vec high[N];
    for (std::size_t q = 0; q < N; ++q) low[q] = high[q] = hn::Zero(d);
    for (std::size_t i = 0; i < head_dim; ++i) {
      const Vec k0 = load_half(d, keys + i * tokens + t);
      const Vec k1 = load_half(d, keys + i * tokens + t + lanes);
      for (std::size_t q = 0; q < N; ++q) {
        const Vec x = hn::Set(d, queries[q][i]);
        low[q] = hn::MulAdd(x, k0, low[q]);
        high[q] = hn::MulAdd(x, k1, high[q]);
      }
    }
    for (std::size_t q = 0; q < N; ++q) {
      hn::StoreU(low[q], d, scores + q * tokens + t);
      hn::StoreU(high[q], d, scores + q * tokens + t + lanes);
    }
  }
  for (; t < tokens; ++t) {
    for (std::size_t q = 0; q < N; ++q) {
      float sum = 0;
      for (std::size_t i = 0; i < head_dim; ++i) sum += queries[q][i] * reference::from_half(keys[i * tokens + t]);
      scores[q * tokens + t] = sum;
    }
  }
}

/// outputs[q] = outputs[q] * scales[q] + Σ weights[q][t] * values[t], tokens [first, last) in order.
template <std::size_t N>
HWY_INLINE void Mix(const float* weights, const Half* values, std::size_t head_dim, std::size_t tokens,
                    std::size_t first, std::size_t last, const float* scales, float* const* outputs) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    Vec low[N];
    Vec high[N];
    for (std::size_t q = 0; q < N; ++q) {
      const Vec scale = hn::Set(d, scales[q]);
      low[q] = hn::Mul(hn::LoadU(d, outputs[q] + i), scale);
      high[q] = hn::Mul(hn::LoadU(d, outputs[q] + i + lanes), scale);
    }
    for (std::size_t t = first; t < last; ++t) {
      const Vec v0 = load_half(d, values + t * head_dim + i);
      const Vec v1 = load_half(d, values + t * head_dim + i + lanes);
      for (std::size_t q = 0; q < N; ++q) {
        const Vec w = hn::Set(d, weights[q * tokens + t]);
        low[q] = hn::MulAdd(w, v0, low[q]);
        high[q] = hn::MulAdd(w, v1, high[q]);
      }
    }
    for (std::size_t q = 0; q < N; ++q) {
      hn::StoreU(low[q], d, outputs[q] + i);
      hn::StoreU(high[q], d, outputs[q] + i + lanes);
    }
  }
  for (; i < head_dim; ++i) {
    for (std::size_t q = 0; q < N; ++q) {
      float sum = outputs[q][i] * scales[q];
      for (std::size_t t = first; t < last; ++t) {
        sum += weights[q * tokens + t] * reference::from_half(values[t * head_dim + i]);
      }
      outputs[q][i] = sum;
    }
  }
}

/// Turns scores into exp(score - most), zero from `valid` on, and gives their sum.
HWY_INLINE float Exponentiate(float* scores, std::size_t valid, std::size_t tokens, float most) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  Vec sum = hn::Zero(d);
  for (std::size_t t = 0; t < tokens; t += lanes) {
    if (t >= valid) {
      store_tail(d, hn::Zero(d), scores, t, tokens);
      continue;
    }
    const Vec e = hn::Exp(d, hn::Sub(load_tail(d, scores, t, tokens), hn::Set(d, most)));
    const Vec kept = hn::IfThenElseZero(hn::FirstN(d, valid - t), e);
    sum = hn::Add(sum, kept);
    store_tail(d, kept, scores, t, tokens);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

/// What a query has gathered so far.
struct Gathered {
  float most[4];   ///< greatest score
  float total[4];  ///< sum of exponentials, relative to it
};

template <std::size_t N>
HWY_INLINE void AttendBlock(const AttendTask& task, std::size_t q0, std::size_t block, Gathered& state) {
  const std::size_t tokens = task.block_tokens;
  const Half* keys = task.blocks[block];
  const Half* values = keys + task.head_dim * tokens;
  Scores<N>(task.queries + q0, keys, task.head_dim, tokens, task.scratch);
  std::size_t valid[N];
  std::size_t shared = tokens;
  float scales[N];
  const float ones[4] = {1, 1, 1, 1};
  for (std::size_t q = 0; q < N; ++q) {
    const std::size_t seen = task.contexts[q0 + q] - HWY_MIN(task.contexts[q0 + q], block * tokens);
    valid[q] = HWY_MIN(seen, tokens);
    shared = HWY_MIN(shared, valid[q]);
    float most = state.most[q];
    float* scores = task.scratch + q * tokens;
    for (std::size_t t = 0; t < valid[q]; ++t) most = scores[t] > most ? scores[t] : most;
    scales[q] = valid[q] == 0 ? 1.0F : std::exp(state.most[q] - most);
    const float sum = Exponentiate(scores, valid[q], tokens, most);
    state.total[q] = state.total[q] * scales[q] + sum;
    state.most[q] = most;
  }
  Mix<N>(task.scratch, values, task.head_dim, tokens, 0, shared, scales, task.outputs + q0);
  for (std::size_t q = 0; q < N; ++q) {
    if (valid[q] > shared) {
      Mix<1>(task.scratch + q * tokens, values, task.head_dim, tokens, shared, valid[q], ones, task.outputs + q0 + q);
    }
  }
}

template <std::size_t N>
HWY_INLINE void AttendGroup(const AttendTask& task, std::size_t q0) {
  Gathered state;
  std::uint32_t longest = 0;
  for (std::size_t q = 0; q < N; ++q) {
    state.most[q] = kLowest;
    state.total[q] = 0;
    longest = HWY_MAX(longest, task.contexts[q0 + q]);
    for (std::size_t i = 0; i < task.head_dim; ++i) task.outputs[q0 + q][i] = 0;
  }
  for (std::size_t block = 0; block * task.block_tokens < longest; ++block) AttendBlock<N>(task, q0, block, state);
  for (std::size_t q = 0; q < N; ++q) {
    const float inverse = 1.0F / state.total[q];
    for (std::size_t i = 0; i < task.head_dim; ++i) task.outputs[q0 + q][i] *= inverse;
  }
}

void Attend(const AttendTask& task) {
  std::size_t q = 0;
  for (; q + 4 <= task.n_queries; q += 4) AttendGroup<4>(task, q);
  if (task.n_queries - q == 3) AttendGroup<3>(task, q);
  if (task.n_queries - q == 2) AttendGroup<2>(task, q);
  if (task.n_queries - q == 1) AttendGroup<1>(task, q);
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels::cpu {

HWY_EXPORT(RmsNorm);
HWY_EXPORT(Add);
HWY_EXPORT(SiluMul);
HWY_EXPORT(Rope);
HWY_EXPORT(ToBf16);
HWY_EXPORT(ToHalf);
HWY_EXPORT(Attend);

void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, epsilon, dim, out);
}
void add(float* x, const float* y, std::size_t dim) { HWY_DYNAMIC_DISPATCH(Add)(x, y, dim); }
void silu_mul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride) {
  HWY_DYNAMIC_DISPATCH(SiluMul)(gate_up, rows, dim, out, stride);
}
void rope(float* x, const float* cosines, const float* sines, std::size_t pairs, float scale) {
  HWY_DYNAMIC_DISPATCH(Rope)(x, cosines, sines, pairs, scale);
}
void to_bf16(const float* x, std::size_t n, std::uint16_t* out) { HWY_DYNAMIC_DISPATCH(ToBf16)(x, n, out); }
void to_half(const float* x, std::size_t n, Half* out) { HWY_DYNAMIC_DISPATCH(ToHalf)(x, n, out); }
void attend(const AttendTask& task) { HWY_DYNAMIC_DISPATCH(Attend)(task); }

}  // namespace headwater::kernels::cpu
#endif
