// Quantises keys and values by Highway, and rotates them.

#include "kernels/cpu/kv_codes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/kv_codes_kernel.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/cpu/kv_code_scale.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
/// A head is a multiple of 8: vectors are no longer, so that there is never a rest.
using Floats = hn::CappedTag<float, 8>;
using Words = hn::RebindToUnsigned<Floats>;
using Bytes = hn::Rebind<std::uint8_t, Floats>;

/// Codes of x[0 … n), one a byte.
HWY_INLINE CodeScale Quantise(const float* x, std::size_t n, std::uint8_t bits, std::uint8_t* codes) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  auto least = hn::LoadU(d, x);
  auto greatest = least;
  auto nothing = hn::Zero(d);  // NaN where a number is not finite
  for (std::size_t i = 0; i < n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    least = hn::Min(least, v);
    greatest = hn::Max(greatest, v);
    nothing = hn::Add(nothing, hn::Mul(v, hn::Zero(d)));
  }
  const auto levels = static_cast<float>((1U << bits) - 1U);
  const bool finite = hn::GetLane(hn::SumOfLanes(d, nothing)) == 0;
  const CodeScale scale =
      code_scale(hn::GetLane(hn::MinOfLanes(d, least)), hn::GetLane(hn::MaxOfLanes(d, greatest)), finite, levels);
  if (!(scale.scale == scale.scale)) {
    std::memset(codes, 0, n);
    return scale;
  }
  const auto minimum = hn::Set(d, scale.minimum);
  const auto inverse = hn::Set(d, scale.inverse);
  const hn::RebindToSigned<Floats> di;
  const auto most = hn::Set(di, static_cast<std::int32_t>(levels));
  for (std::size_t i = 0; i < n; i += lanes) {
    const auto code = hn::NearestInt(hn::Mul(hn::Sub(hn::LoadU(d, x + i), minimum), inverse));
    hn::StoreU(hn::DemoteTo(Bytes(), hn::Min(code, most)), Bytes(), codes + i);
  }
  return scale;
}

HWY_INLINE void PutParameters(const CodeTarget& target, const CodeScale& scale, CodeParameter first, std::byte* head) {
  const CodeLayout layout = code_layout(target.key_bits, target.value_bits, target.head_dim, target.block_tokens);
  std::byte* place = head + layout.parameters + (first * target.block_tokens + target.slot) * sizeof(std::uint16_t);
  const std::uint16_t scale_bits = scale.scale_bits();
  const std::uint16_t minimum_bits = scale.minimum_bits();
  std::memcpy(place, &scale_bits, sizeof(scale_bits));
  std::memcpy(place + target.block_tokens * sizeof(std::uint16_t), &minimum_bits, sizeof(minimum_bits));
}

void StoreKeyCodes(const CodeTarget& target, const float* key, std::byte* head) {
  HWY_ALIGN std::uint8_t codes[kMostQuantisedDims];
  std::size_t n = target.head_dim;
  const CodeScale scale = Quantise(key, n, target.key_bits, codes);
  if (target.key_bits == 4) {
    n /= 2;
    for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(codes[i] | codes[i + n] << 4U);
  }
  for (std::size_t i = 0; i < n; i += 4) std::memcpy(head + (i * target.block_tokens) + target.slot * 4, codes + i, 4);
  PutParameters(target, scale, key_scale, head);
}

void StoreValueCodes(const CodeTarget& target, const float* value, std::byte* head) {
  HWY_ALIGN std::uint8_t codes[kMostQuantisedDims];
  const std::size_t dim = target.head_dim;
  const CodeScale scale = Quantise(value, dim, target.value_bits, codes);
  const CodePlace place = value_code_place(target.value_bits, dim, target.slot, 0);
  const auto shift = static_cast<int>(place.byte % 4 * 8 + place.shift);
  std::byte* words =
      head + code_layout(target.key_bits, target.value_bits, dim, target.block_tokens).values + place.byte / 4 * 4;
  const Words d;
  const auto others = hn::Set(d, ~(((1U << target.value_bits) - 1U) << shift));
  for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
    auto* word = reinterpret_cast<std::uint32_t*>(words + i * 4);
    const auto code = hn::ShiftLeftSame(hn::PromoteTo(d, hn::LoadU(Bytes(), codes + i)), shift);
    hn::StoreU(hn::Or(hn::And(hn::LoadU(d, word), others), code), d, word);
  }
  PutParameters(target, scale, value_scale, head);
}

/// Every pass takes neighbours, and leaves sums in the first half and differences in the second: after as many passes
/// as an index has bits all stand where they belong. Source: Pease 1968, "An adaptation of the fast Fourier transform
/// for parallel processing".
template <class D>
HWY_INLINE void RotateBlock(D d, float* x, std::size_t n, float scale) {
  HWY_ALIGN float other[kMostQuantisedDims];
  float* from = x;
  float* to = other;
  for (std::size_t pass = 1; pass < n; pass *= 2) {
    for (std::size_t i = 0; i < n / 2; i += hn::Lanes(d)) {
      hn::Vec<D> even;
      hn::Vec<D> odd;
      hn::LoadInterleaved2(d, from + 2 * i, even, odd);
      hn::StoreU(hn::Add(even, odd), d, to + i);
      hn::StoreU(hn::Sub(even, odd), d, to + n / 2 + i);
    }
    std::swap(from, to);
  }
  const auto factor = hn::Set(d, scale);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) hn::StoreU(hn::Mul(hn::LoadU(d, from + i), factor), d, x + i);
}

void Rotate(float* x, std::size_t head_dim) {
  const std::size_t n = head_dim & -head_dim;  // at least 8
  const float scale = 1 / std::sqrt(static_cast<float>(n));
  for (std::size_t i = 0; i < head_dim; i += n) {
    if (n >= 32) {
      RotateBlock(hn::CappedTag<float, 16>(), x + i, n, scale);
    } else {
      RotateBlock(hn::CappedTag<float, 4>(), x + i, n, scale);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels::cpu {

HWY_EXPORT(StoreKeyCodes);
HWY_EXPORT(StoreValueCodes);
HWY_EXPORT(Rotate);

void store_key_codes(const CodeTarget& target, const float* key, std::byte* head) {
  HWY_DYNAMIC_DISPATCH(StoreKeyCodes)(target, key, head);
}
void store_value_codes(const CodeTarget& target, const float* value, std::byte* head) {
  HWY_DYNAMIC_DISPATCH(StoreValueCodes)(target, value, head);
}
void rotate(float* x, std::size_t head_dim) { HWY_DYNAMIC_DISPATCH(Rotate)(x, head_dim); }

}  // namespace headwater::kernels::cpu
#endif
