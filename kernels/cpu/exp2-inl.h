// 2^x by Highway, compiled anew for every instruction set.

#if defined(HEADWATER_KERNELS_CPU_EXP2_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEADWATER_KERNELS_CPU_EXP2_INL_H_
#undef HEADWATER_KERNELS_CPU_EXP2_INL_H_
#else
#define HEADWATER_KERNELS_CPU_EXP2_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/cpu/exp2.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

/// 2^x for x < 128, to 1e-7; 2^-126 for all below -126; a NaN stays.
template <class D, class V>
HWY_INLINE V Exp2(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const V lowest = hn::Set(d, kLowestPower);
  x = hn::IfThenElse(hn::Lt(x, lowest), lowest, x);
  const V whole = hn::Floor(x);
  const V r = hn::Sub(x, whole);
  V p = hn::Set(d, kExp2[0]);
  for (int i = 1; i < 6; ++i) p = hn::MulAdd(p, r, hn::Set(d, kExp2[i]));
  const V power = hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::ConvertTo(di, whole))));
  return hn::IfThenElse(hn::Eq(x, x), power, x);
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif
