#include "kernels/logit_blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/logit_blocks.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include <limits>
#include <numbers>

#include "kernels/cpu/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
/// 16 sums side by side for every instruction set, in as many vectors as they take.
constexpr std::size_t kLanes = 16;
using Floats = hn::CappedTag<float, kLanes>;
using Vec = hn::Vec<Floats>;
constexpr std::size_t kVectors = kLanes / hn::MaxLanes(Floats());

bool BestOfBlocks(const float* x, std::size_t n_blocks, float* best) {
  const Floats d;
  const Vec infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  auto good = hn::Eq(infinity, infinity);
  for (std::size_t block = 0; block < n_blocks; ++block, x += kLogitBlock) {
    Vec most = hn::Neg(infinity);
    for (std::size_t i = 0; i < kLogitBlock; i += hn::Lanes(d)) {
      const Vec v = hn::LoadU(d, x + i);
      most = hn::Max(most, v);
      good = hn::And(good, hn::Lt(v, infinity));
    }
    best[block] = hn::GetLane(hn::MaxOfLanes(d, most));
  }
  return hn::AllTrue(d, good);
}

void SumsOfBlocks(const float* x, std::size_t n_blocks, float best, float scale, float* sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const Vec most = hn::Set(d, best);
  const Vec power = hn::Set(d, scale * std::numbers::log2e_v<float>);
  for (std::size_t block = 0; block < n_blocks; ++block, x += kLogitBlock) {
    Vec parts[kVectors];
    for (Vec& part : parts) part = hn::Zero(d);
    for (std::size_t i = 0; i < kLogitBlock; i += kLanes) {
      for (std::size_t k = 0; k < kVectors; ++k) {
        const Vec below = hn::Mul(hn::Sub(hn::LoadU(d, x + i + k * lanes), most), power);
        parts[k] = hn::Add(parts[k], Exp2(d, below));
      }
    }
    HWY_ALIGN float all[kLanes];
    for (std::size_t k = 0; k < kVectors; ++k) hn::Store(parts[k], d, all + k * lanes);
    for (std::size_t step = kLanes / 2; step > 0; step /= 2) {
      for (std::size_t k = 0; k < step; ++k) all[k] += all[k + step];
    }
    sums[block] = all[0];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels {
namespace cpu {
HWY_EXPORT(BestOfBlocks);
HWY_EXPORT(SumsOfBlocks);
}  // namespace cpu

bool best_of_blocks(const float* logits, std::size_t n_blocks, float* best) {
  using namespace cpu;  // NOLINT: HWY_DYNAMIC_DISPATCH wants the bare name
  return HWY_DYNAMIC_DISPATCH(BestOfBlocks)(logits, n_blocks, best);
}
void sums_of_blocks(const float* logits, std::size_t n_blocks, float best, float scale, float* sums) {
  using namespace cpu;  // NOLINT
  HWY_DYNAMIC_DISPATCH(SumsOfBlocks)(logits, n_blocks, best, scale, sums);
}

}  // namespace headwater::kernels
#endif
