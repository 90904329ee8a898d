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

/// Codes of x[0 … n) in 8 bits, one a byte.
HWY_INLINE CodeScale QuantiseTo8(const float* x, std::size_t n, std::uint8_t* codes) {
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
  constexpr float kLevels = 255;
  const bool finite = hn::GetLane(hn::SumOfLanes(d, nothing)) == 0;
  const CodeScale scale =
      code_scale(hn::GetLane(hn::MinOfLanes(d, least)), hn::GetLane(hn::MaxOfLanes(d, greatest)), finite, kLevels);
  if (!(scale.scale == scale.scale)) {
    std::memset(codes, 0, n);
    return scale;
  }
  const auto minimum = hn::Set(d, scale.minimum);
  const auto inverse = hn::Set(d, scale.inverse);
  const hn::RebindToSigned<Floats> di;
  const auto most = hn::Set(di, static_cast<std::int32_t>(kLevels));
  for (std::size_t i = 0; i < n; i += lanes) {
    const auto code = hn::NearestInt(hn::Mul(hn::Sub(hn::LoadU(d, x + i), minimum), inverse));
    hn::StoreU(hn::DemoteTo(Bytes(), hn::Min(code, most)), Bytes(), codes + i);
  }
  return scale;
}

/// Sums of every eighth number of a group.
struct Eighths {
  static constexpr std::size_t kParts = 8 / HWY_MIN(8, hn::MaxLanes(Floats()));
  hn::Vec<Floats> parts[kParts];

  HWY_INLINE void Begin(std::size_t part, hn::Vec<Floats> v) { parts[part] = v; }
  HWY_INLINE void Add(std::size_t part, hn::Vec<Floats> v) { parts[part] = hn::Add(parts[part], v); }
  /// Halves are added to each other until one number is left.
  HWY_INLINE float Sum() const {
#if HWY_TARGET == HWY_SCALAR
    float sums[8];
    for (std::size_t i = 0; i < 8; ++i) sums[i] = hn::GetLane(parts[i]);
    for (std::size_t half = 4; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    return sums[0];
#else
#if HWY_TARGET <= HWY_AVX2
    const hn::CappedTag<float, 4> half;
    const auto four = hn::Add(hn::LowerHalf(half, parts[0]), hn::UpperHalf(half, parts[0]));
#else
    const auto four = hn::Add(parts[0], parts[1]);
#endif
    const auto two = hn::Add(four, hn::Shuffle1032(four));
    return hn::GetLane(hn::Add(two, hn::Shuffle2301(two)));
#endif
  }
};

/// A group of numbers, n a multiple of 8 up to 32, as codes in 4 bits.
class Group {
 public:
  HWY_INLINE Group(const float* given, std::size_t n) : n_(n) {
    const Floats d;
    const auto most = hn::Set(d, kGreatestNumber);
    auto least = hn::LoadU(d, given);
    auto greatest = least;
    auto nothing = hn::Zero(d);
    Eighths sum;
    for (std::size_t i = 0; i < n; i += kLanes) {
      const auto raw = hn::LoadU(d, given + i);
      nothing = hn::Add(nothing, hn::Mul(raw, hn::Zero(d)));
      const auto x = hn::Max(hn::Min(raw, most), hn::Neg(most));
      hn::Store(x, d, x_ + i);
      least = hn::Min(least, x);
      greatest = hn::Max(greatest, x);
      i < 8 ? sum.Begin(i % 8 / kLanes, x) : sum.Add(i % 8 / kLanes, x);
    }
    finite_ = hn::GetLane(hn::SumOfLanes(d, nothing)) == 0;
    least_ = HWY_MAX(hn::GetLane(hn::MinOfLanes(d, least)), -kGreatestNumber);
    greatest_ = HWY_MIN(hn::GetLane(hn::MaxOfLanes(d, greatest)), kGreatestNumber);
    mean_ = sum.Sum() / static_cast<float>(n);
  }

  /// Codes, one a byte, and the bytes of the parameters.
  HWY_INLINE void Quantise(std::uint8_t* codes, std::uint8_t& scale, std::uint8_t& lowest) const {
    if (!finite_) {
      std::memset(codes, 0, n_);
      scale = kNanScale;
      lowest = 0;
      return;
    }
    FittedRange best{first_range(0, least_, greatest_), -1};
    for (std::size_t which = 0; which < kFirstRanges; ++which) {
      const FittedRange fitted = Refit(first_range(which, least_, greatest_));
      if (fitted.explained > best.explained) best = fitted;
    }
    const FittedRange last = Refit(best.range);
    scale = scale_byte(last.range.step, least_, greatest_);
    const CodeRange wanted = with_step(last.range, group_scale(scale));
    const auto size = static_cast<float>(n_);
    lowest = minimum_byte(mean_ - wanted.step * (Sums(wanted).codes / size), wanted.step);
    const Floats d;
    const hn::RebindToSigned<Floats> di;
    const auto minimum = hn::Set(d, wanted.step * group_minimum(lowest));
    const auto inverse = hn::Set(d, 1 / wanted.step);
    for (std::size_t i = 0; i < n_; i += kLanes) {
      const auto code = hn::ConvertTo(di, Code(hn::Load(d, x_ + i), minimum, inverse));
      hn::StoreU(hn::DemoteTo(Bytes(), code), Bytes(), codes + i);
    }
  }

 private:
  static constexpr std::size_t kLanes = hn::MaxLanes(Floats());

  static HWY_INLINE hn::Vec<Floats> Code(hn::Vec<Floats> x, hn::Vec<Floats> minimum, hn::Vec<Floats> inverse) {
    const Floats d;
    const auto code = hn::Round(hn::Mul(hn::Sub(x, minimum), inverse));
    return hn::Min(hn::Max(code, hn::Zero(d)), hn::Set(d, kGroupLevels));
  }

  HWY_INLINE CodeSums Sums(const CodeRange& range) const {
    // Of both sums of whole numbers at once: codes sum up to less than the factor.
    constexpr float kFactor = 512;
    const Floats d;
    const auto minimum = hn::Set(d, range.minimum);
    const auto inverse = hn::Set(d, 1 / range.step);
    const auto factor = hn::Set(d, kFactor);
    Eighths whole;
    Eighths numbers;
    for (std::size_t i = 0; i < n_; i += kLanes) {
      const auto x = hn::Load(d, x_ + i);
      const auto code = Code(x, minimum, inverse);
      const auto both = hn::Add(code, hn::Mul(factor, hn::Mul(code, code)));
      const auto product = hn::Mul(code, x);
      const std::size_t part = i % 8 / kLanes;
      if (i < 8) {
        whole.Begin(part, both);
        numbers.Begin(part, product);
      } else {
        whole.Add(part, both);
        numbers.Add(part, product);
      }
    }
    const auto both = static_cast<std::int32_t>(whole.Sum());
    constexpr auto kWhole = static_cast<std::int32_t>(kFactor);
    return {static_cast<float>(both % kWhole), static_cast<float>(both / kWhole), numbers.Sum()};
  }
  HWY_INLINE FittedRange Refit(const CodeRange& range) const {
    return fit_range(range, Sums(range), mean_, static_cast<float>(n_));
  }

  HWY_ALIGN float x_[kGroupDims];
  std::size_t n_;
  bool finite_ = false;
  float least_ = 0, greatest_ = 0, mean_ = 0;
};

/// Codes of a vector, one a byte, and its parameters into their rows.
HWY_INLINE void Quantise(const CodeTarget& target, std::uint8_t bits, const float* x, std::uint8_t* codes,
                         std::byte* rows) {
  const std::size_t block_tokens = target.block_tokens;
  if (bits == 8) {
    const CodeScale scale = QuantiseTo8(x, target.head_dim, codes);
    std::byte* place = rows + target.slot * sizeof(std::uint16_t);
    const std::uint16_t scale_bits = scale.scale_bits();
    const std::uint16_t minimum_bits = scale.minimum_bits();
    std::memcpy(place, &scale_bits, sizeof(scale_bits));
    std::memcpy(place + block_tokens * sizeof(std::uint16_t), &minimum_bits, sizeof(minimum_bits));
    return;
  }
  for (std::size_t i = 0; i < target.head_dim; i += kGroupDims, rows += 2 * block_tokens) {
    std::uint8_t scale;
    std::uint8_t lowest;
    Group(x + i, HWY_MIN(kGroupDims, target.head_dim - i)).Quantise(codes + i, scale, lowest);
    rows[target.slot] = std::byte{scale};
    rows[block_tokens + target.slot] = std::byte{lowest};
  }
}

void StoreKeyCodes(const CodeTarget& target, const float* key, std::byte* head) {
  HWY_ALIGN std::uint8_t codes[kMostQuantisedDims];
  const std::size_t dim = target.head_dim;
  const CodeLayout layout = code_layout(target.key_bits, target.value_bits, dim, target.block_tokens);
  Quantise(target, target.key_bits, key, codes, head + layout.key_parameters);
  std::byte* to = head + target.slot * 4;
  if (target.key_bits == 8) {
    for (std::size_t i = 0; i < dim; i += 4, to += target.block_tokens * 4) std::memcpy(to, codes + i, 4);
    return;
  }
  for (std::size_t group = 0; group < dim; group += kGroupDims) {
    const std::size_t half = HWY_MIN(kGroupDims, dim - group) / 2;
    for (std::size_t i = 0; i < half; i += 4, to += target.block_tokens * 4) {
      std::uint32_t low;
      std::uint32_t high;
      std::memcpy(&low, codes + group + i, 4);
      std::memcpy(&high, codes + group + half + i, 4);
      low |= high << 4U;
      std::memcpy(to, &low, 4);
    }
  }
}

void StoreValueCodes(const CodeTarget& target, const float* value, std::byte* head) {
  HWY_ALIGN std::uint8_t codes[kMostQuantisedDims];
  const std::size_t dim = target.head_dim;
  const CodeLayout layout = code_layout(target.key_bits, target.value_bits, dim, target.block_tokens);
  Quantise(target, target.value_bits, value, codes, head + layout.value_parameters);
  const CodePlace place = value_code_place(target.value_bits, dim, target.slot, 0);
  const auto shift = static_cast<int>(place.byte % 4 * 8 + place.shift);
  std::byte* words = head + layout.values + place.byte / 4 * 4;
  const Words d;
  const auto others = hn::Set(d, ~(((1U << target.value_bits) - 1U) << shift));
  for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
    auto* word = reinterpret_cast<std::uint32_t*>(words + i * 4);
    const auto code = hn::ShiftLeftSame(hn::PromoteTo(d, hn::LoadU(Bytes(), codes + i)), shift);
    hn::StoreU(hn::Or(hn::And(hn::LoadU(d, word), others), code), d, word);
  }
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
