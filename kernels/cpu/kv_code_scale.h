#pragma once
// The two parameters of a quantised vector, and of a group of numbers in 4 bits. Shared by the reference and the
// kernels, so that they agree bit for bit.

#include <cstddef>
#include <cstdint>

namespace headwater::kernels::cpu {

struct CodeScale {
  float scale, minimum, inverse;  ///< inverse: 1 / scale, or 0 for a scale of 0
  [[gnu::always_inline]] std::uint16_t scale_bits() const { return upper(scale); }
  [[gnu::always_inline]] std::uint16_t minimum_bits() const { return upper(minimum); }

 private:
  [[gnu::always_inline]] static std::uint16_t upper(float x) {
    return static_cast<std::uint16_t>(__builtin_bit_cast(std::uint32_t, x) >> 16U);
  }
};

/// The nearest bfloat16 towards plus or minus infinity.
[[gnu::always_inline]] inline float bf16_towards(float x, bool up) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const bool negative = (bits >> 31U) != 0;
  const bool away = (bits & 0xFFFFU) != 0 && negative != up;
  return __builtin_bit_cast(float, (bits & 0xFFFF0000U) + (away ? 0x10000U : 0U));
}

/// Of a vector of numbers from `least` to `greatest`, as codes 0 … levels. NaN for both, where it cannot be held.
[[gnu::always_inline]] inline CodeScale code_scale(float least, float greatest, bool finite, float levels) {
  constexpr float kLeastScale = 0x1p-120F;  // its inverse is a number, and what is below it is nothing
  const float minimum = bf16_towards(least, false);
  const float step = bf16_towards((greatest - minimum) / levels, true);
  if (!finite || !(step - step == 0) || !(minimum - minimum == 0)) {
    constexpr float kNan = __builtin_nanf("");
    return {kNan, kNan, 0};
  }
  if (step < kLeastScale) return {0, minimum, 0};
  return {step, minimum, 1 / step};
}

// ---- groups in 4 bits: a byte for the scale, a byte for the minimum in eighths of it
// -------------------------------

/// The scale's byte where a number is not finite: the scale is NaN.
inline constexpr std::uint8_t kNanScale = 255;
/// Numbers with a mean square of one, as maps make them, have scales near 2^-2. There are 32 steps an octave from here
/// on.
inline constexpr std::uint32_t kLeastScaleBits = (127U - 6U) << 23U;
inline constexpr unsigned kScaleShift = 18;
/// A minimum is (kHighestMinimum - byte * kMinimumStep) scales, -23.375 … 8.5: zero may lie half a range beside a
/// group's.
inline constexpr float kHighestMinimum = 8.5F;
inline constexpr float kMinimumStep = 1.0F / 8;
inline constexpr float kGroupLevels = 15;
/// What is beyond it is cut off before a range is fitted: no range reaches so far.
inline constexpr float kGreatestNumber = 64;

[[gnu::always_inline]] inline float group_scale(std::uint8_t byte) {
  if (byte == kNanScale) return __builtin_nanf("");
  return __builtin_bit_cast(float, kLeastScaleBits + (std::uint32_t{byte} << kScaleShift));
}
/// In scales.
[[gnu::always_inline]] inline float group_minimum(std::uint8_t byte) {
  return kHighestMinimum - static_cast<float>(byte) * kMinimumStep;
}

/// Codes stand for `step * code + minimum`.
struct CodeRange {
  float step, minimum;
};

/// What codes of a group sum up to.
struct CodeSums {
  float codes;    ///< sum of the codes
  float squares;  ///< of their squares
  float numbers;  ///< of the codes times their numbers
};
/// A range fitted to given codes by least squares, and how much of the numbers' variance it explains.
struct FittedRange {
  CodeRange range;
  float explained;
};
[[gnu::always_inline]] inline FittedRange fit_range(const CodeRange& before, const CodeSums& sums, float mean,
                                                    float n) {
  const float variance = sums.squares - sums.codes * sums.codes / n;
  const float covariance = sums.numbers - sums.codes * mean;
  if (!(variance > 0) || !(covariance > 0)) return {before, 0};
  const float step = covariance / variance;
  return {{step, mean - step * (sums.codes / n)}, covariance * step};
}

/// Ranges to begin with: some of the span is cut off at either end.
inline constexpr std::size_t kFirstRanges = 4;
[[gnu::always_inline]] inline CodeRange first_range(std::size_t which, float least, float greatest) {
  constexpr float kLittle = 0.01F;
  constexpr float kMore = 0.07F;
  const float span = greatest - least;
  const float below = (which & 1U) != 0 ? kMore : kLittle;
  const float above = (which & 2U) != 0 ? kMore : kLittle;
  const float step = span * (1 - below - above) / kGroupLevels;
  constexpr float kNothing = 1e-30F;  // its inverse is a number
  return {step > kNothing ? step : kNothing, least + span * below};
}

/// The byte of the nearest scale. At least: what numbers that all have one sign need, since zero is never far from a
/// group's range.
[[gnu::always_inline]] inline std::uint8_t scale_byte(float step, float least, float greatest) {
  constexpr float kLowestMinimum = kHighestMinimum - 255 * kMinimumStep;
  const float needed = least > 0      ? greatest / (kGroupLevels + kHighestMinimum)
                       : greatest < 0 ? least / kLowestMinimum
                                      : 0;
  if (step < needed) step = needed;
  const auto bits = static_cast<std::int64_t>(__builtin_bit_cast(std::uint32_t, step));
  const std::int64_t byte = (bits - kLeastScaleBits + (1 << (kScaleShift - 1))) >> kScaleShift;
  return static_cast<std::uint8_t>(byte < 0 ? 0 : byte >= kNanScale ? kNanScale - 1 : byte);
}

/// The same range with another step: its middle stays.
[[gnu::always_inline]] inline CodeRange with_step(const CodeRange& range, float step) {
  return {step, range.minimum + (range.step - step) * (kGroupLevels / 2)};
}

/// The byte of the nearest minimum.
[[gnu::always_inline]] inline std::uint8_t minimum_byte(float minimum, float scale) {
  const float steps = (kHighestMinimum - minimum / scale) * (1 / kMinimumStep);
  if (!(steps > 0)) return 0;
  return steps >= 255 ? std::uint8_t{255} : static_cast<std::uint8_t>(static_cast<int>(2 * steps + 1) / 2);
}

}  // namespace headwater::kernels::cpu
