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

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;

/// Rows that share what is unpacked of a key or value: as many as the registers hold sums of.
constexpr std::size_t kShared = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

/// 2^x for x <= 0, to 1e-7; 2^-126 for all below; a NaN stays.
template <class D, class V>
HWY_INLINE V Exp2(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V lowest = hn::Set(d, -126.0F);
  x = hn::IfThenElse(hn::Lt(x, lowest), lowest, x);
  const V whole = hn::Floor(x);
  const V r = hn::Sub(x, whole);
  // Minimax polynomial of 2^r on [0, 1] with value 1 at 0, relative error 8e-8.
  V p = hn::Set(d, 0.00186713007F);
  p = hn::MulAdd(p, r, hn::Set(d, 0.00901703032F));
  p = hn::MulAdd(p, r, hn::Set(d, 0.0557999131F));
  p = hn::MulAdd(p, r, hn::Set(d, 0.24016445F));
  p = hn::MulAdd(p, r, hn::Set(d, 0.693151312F));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F));
  const V power = hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::ConvertTo(di, whole))));
  return hn::IfThenElse(hn::Eq(x, x), power, x);
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

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif
