#include "kernels/cpu/activations.h"

#ifndef HEADWATER_GROUP_FACTORS
#define HEADWATER_GROUP_FACTORS  // this file is included once for each instruction set
#include <limits>
namespace headwater::kernels::cpu {
namespace {

struct GroupFactors {
  float scale;    ///< of the codes
  float inverse;  ///< what values are multiplied by
  bool usable;    ///< false: the codes are zero
};

/// `greatest`: the greatest magnitude of the group.
GroupFactors group_factors(float greatest) {
  if (!(greatest <= std::numeric_limits<float>::max())) return {std::numeric_limits<float>::quiet_NaN(), 0, false};
  if (greatest < 1e-30F) return {0, 0, false};  // its inverse could overflow
  return {greatest / kGreatestCode, kGreatestCode / greatest, true};
}

}  // namespace
}  // namespace headwater::kernels::cpu
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/activations.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void QuantizeRow(const float* x, std::size_t groups, std::int8_t* codes, std::size_t group_stride, float* scales) {
  const hn::CappedTag<float, kGroup> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<std::int8_t, decltype(d)> d8;
  const std::size_t lanes = hn::Lanes(d);
  const auto magnitude = hn::Set(di, 0x7FFFFFFF);
  const auto low_bits = hn::Set(di, 15);
  for (std::size_t g = 0; g < groups; ++g, x += kGroup, codes += group_stride, scales += 2 * kTileRows) {
    // As whole numbers the magnitudes of floats have the same order, and NaN is the greatest.
    auto most = hn::Zero(di);
    for (std::size_t i = 0; i < kGroup; i += lanes) {
      most = hn::Max(most, hn::And(hn::BitCast(di, hn::LoadU(d, x + i)), magnitude));
    }
    const float greatest = hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, most)));
    const GroupFactors factors = group_factors(greatest);
    const auto factor = hn::Set(d, factors.inverse);
    auto sum = hn::Zero(di);
    for (std::size_t i = 0; i < kGroup; i += lanes) {
      const auto kept = factors.usable ? hn::LoadU(d, x + i) : hn::Zero(d);
      const auto code = hn::NearestInt(hn::Mul(kept, factor));
      sum = hn::Add(sum, code);
      hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<4>(code)), d8, codes + i);
      hn::StoreU(hn::DemoteTo(d8, hn::And(code, low_bits)), d8, codes + kGroup + i);
    }
    scales[0] = factors.scale;
    scales[kTileRows] = factors.scale * static_cast<float>(hn::GetLane(hn::SumOfLanes(di, sum)));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <bit>
#include <cmath>

namespace headwater::kernels::cpu {

HWY_EXPORT(QuantizeRow);
void quantize_row(const float* x, std::size_t groups, std::int8_t* codes, std::size_t group_stride, float* scales) {
  HWY_DYNAMIC_DISPATCH(QuantizeRow)(x, groups, codes, group_stride, scales);
}

namespace reference {
void quantize_row(const float* x, std::size_t groups, std::int8_t* codes, std::size_t group_stride, float* scales) {
  for (std::size_t g = 0; g < groups; ++g, x += kGroup, codes += group_stride, scales += 2 * kTileRows) {
    std::uint32_t most = 0;
    for (std::size_t i = 0; i < kGroup; ++i) most = std::max(most, std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFFU);
    const GroupFactors factors = group_factors(std::bit_cast<float>(most));
    int sum = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      const int code = factors.usable ? static_cast<int>(std::nearbyint(x[i] * factors.inverse)) : 0;
      sum += code;
      codes[i] = static_cast<std::int8_t>(code >> 4);
      codes[kGroup + i] = static_cast<std::int8_t>(code & 15);
    }
    scales[0] = factors.scale;
    scales[kTileRows] = factors.scale * static_cast<float>(sum);
  }
}
}  // namespace reference

void Activations::resize(std::size_t rows, std::size_t groups, bool tiles) {
  constexpr std::size_t kCodes = 2 * kGroup;
  const std::size_t whole = (rows + kTileRows - 1) / kTileRows * kTileRows;
  if (codes_.size() < whole * groups * kCodes + 64) codes_.resize(whole * groups * kCodes + 64);
  if (scales_.size() < whole * groups * 2) scales_.resize(whole * groups * 2);
  const auto misplaced = reinterpret_cast<std::uintptr_t>(codes_.data()) % 64;
  rows_ = {rows,
           groups,
           reinterpret_cast<std::int8_t*>(codes_.data()) + (64 - misplaced) % 64,
           tiles ? kCodes : groups * kCodes,
           tiles ? kTileRows * kCodes : kCodes,
           scales_.data()};
}

}  // namespace headwater::kernels::cpu
#endif
