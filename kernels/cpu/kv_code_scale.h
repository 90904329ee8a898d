#pragma once
// The two parameters of a quantised vector. Shared by the reference and the kernels, so that they agree bit for bit.

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

}  // namespace headwater::kernels::cpu
