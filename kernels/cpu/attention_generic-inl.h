// What the kernels of attention by Highway share, compiled anew for every instruction set.

#if defined(HEADWATER_KERNELS_CPU_ATTENTION_GENERIC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEADWATER_KERNELS_CPU_ATTENTION_GENERIC_INL_H_
#undef HEADWATER_KERNELS_CPU_ATTENTION_GENERIC_INL_H_
#else
#define HEADWATER_KERNELS_CPU_ATTENTION_GENERIC_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;

/// Rows that share what is unpacked of a key or value: as many as the registers hold sums of.
constexpr std::size_t kShared = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

/// Scores of tokens [begin, end), and of some beside them, become cap · tanh(score / cap).
HWY_INLINE void CapScores(float* scores, std::size_t begin, std::size_t end, float cap) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto most = hn::Set(d, 60.0F);
  const auto one = hn::Set(d, 1.0F);
  for (std::size_t t = begin / lanes * lanes; t < end; t += lanes) {
    // tanh(y) = 1 - 2 / (1 + 2^(2 y log2 e)); from 2^60 on it is 1.
    const auto exponent = hn::Mul(hn::LoadU(d, scores + t), hn::Set(d, 2.88539008F / cap));
    const auto power = Exp2(d, hn::IfThenElse(hn::Gt(exponent, most), most, exponent));
    const auto tanh = hn::Sub(one, hn::Div(hn::Set(d, 2.0F), hn::Add(one, power)));
    hn::StoreU(hn::Mul(hn::Set(d, cap), tanh), d, scores + t);
  }
}

/// Scores become weights; gives the greatest score and the sum of the weights.
HWY_INLINE void Weigh(float* scores, std::size_t seen, float& most, float& total) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto greatest = nothing;
  for (std::size_t t = 0; t < seen; t += lanes) {
    const auto x = hn::IfThenElse(hn::FirstN(d, seen - t), hn::LoadU(d, scores + t), nothing);
    greatest = hn::IfThenElse(hn::Gt(x, greatest), x, greatest);
  }
  most = hn::GetLane(hn::MaxOfLanes(d, greatest));
  const auto shift = hn::Set(d, most);
  auto sum = hn::Zero(d);
  for (std::size_t t = 0; t < seen; t += lanes) {
    const auto weights = Exp2(d, hn::Sub(hn::LoadU(d, scores + t), shift));
    hn::StoreU(weights, d, scores + t);
    sum = hn::Add(sum, hn::IfThenElseZero(hn::FirstN(d, seen - t), weights));
  }
  total = hn::GetLane(hn::SumOfLanes(d, sum));
}

/// The same for tokens [from, seen): those before get weights of zero.
HWY_INLINE void Weigh(float* scores, std::size_t from, std::size_t seen, float& most, float& total) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t t = 0; t < from; ++t) scores[t] = -std::numeric_limits<float>::infinity();
  Weigh(scores, seen, most, total);
  // Of these each was the least that there is, and is lost in the total.
  std::size_t t = 0;
  for (; t + lanes <= from; t += lanes) hn::StoreU(hn::Zero(d), d, scores + t);
  for (; t < from; ++t) scores[t] = 0;
}

/// The last rows, fewer than kShared.
template <class Kernel, std::size_t N>
HWY_INLINE void GatherRest(const QueryRows& rows, const Split& split, std::size_t row, const Gathered& result) {
  if constexpr (N > 0) {
    if (rows.n_rows - row == N) return Kernel::template Rows<N>(rows, split, row, result);
    GatherRest<Kernel, N - 1>(rows, split, row, result);
  }
}

/// Calls Kernel::Rows<N>(rows, split, row, result), which computes rows [row, row + N), for all that see something.
template <class Kernel>
HWY_INLINE void GatherAll(const QueryRows& rows, const Split& split, const Gathered& result) {
  std::size_t row = 0;
  while (split.seen[row] == 0) ++row;
  for (; row + kShared <= rows.n_rows; row += kShared) Kernel::template Rows<kShared>(rows, split, row, result);
  GatherRest<Kernel, kShared - 1>(rows, split, row, result);
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif
