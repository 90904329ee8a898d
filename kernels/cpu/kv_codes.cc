#include "kernels/cpu/kv_codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/kv_code_scale.h"

namespace headwater::kernels::cpu::reference {
namespace {

struct Codes {
  CodeScale scale;
  std::vector<unsigned> codes;
};

Codes quantise(const float* x, std::size_t n, std::uint8_t bits) {
  const auto levels = static_cast<float>((1U << bits) - 1U);
  const bool finite = std::all_of(x, x + n, [](float value) { return std::isfinite(value); });
  Codes result{code_scale(*std::min_element(x, x + n), *std::max_element(x, x + n), finite, levels),
               std::vector<unsigned>(n)};
  if (!finite || std::isnan(result.scale.scale)) return result;
  for (std::size_t i = 0; i < n; ++i) {
    const float code = std::nearbyint((x[i] - result.scale.minimum) * result.scale.inverse);
    result.codes[i] = static_cast<unsigned>(std::clamp(code, 0.0F, levels));
  }
  return result;
}

void put(std::byte* codes, CodePlace place, std::uint8_t bits, unsigned code) {
  const auto mask = static_cast<std::byte>(((1U << bits) - 1U) << place.shift);
  codes[place.byte] = (codes[place.byte] & ~mask) | static_cast<std::byte>(code << place.shift);
}

CodeLayout layout(const CodeTarget& target) {
  return code_layout(target.key_bits, target.value_bits, target.head_dim, target.block_tokens);
}

std::byte* parameter(const CodeTarget& target, std::byte* head, CodeParameter which) {
  return head + layout(target).parameters + (which * target.block_tokens + target.slot) * sizeof(std::uint16_t);
}

void put_parameters(const CodeTarget& target, std::byte* head, CodeParameter first, const CodeScale& scale) {
  const std::uint16_t bits[] = {scale.scale_bits(), scale.minimum_bits()};
  for (int i = 0; i < 2; ++i) {
    std::memcpy(parameter(target, head, static_cast<CodeParameter>(first + i)), &bits[i], sizeof(bits[i]));
  }
}

/// A number as it is stored.
double number(const CodeTarget& target, const std::byte* head, CodeParameter first, const std::byte* codes,
              CodePlace place, std::uint8_t bits) {
  float parameters[2];
  for (int i = 0; i < 2; ++i) {
    std::uint16_t upper = 0;
    std::memcpy(&upper, parameter(target, const_cast<std::byte*>(head), static_cast<CodeParameter>(first + i)),
                sizeof(upper));
    parameters[i] = std::bit_cast<float>(std::uint32_t{upper} << 16U);
  }
  const unsigned code = (std::to_integer<unsigned>(codes[place.byte]) >> place.shift) & ((1U << bits) - 1U);
  return double{parameters[0]} * code + double{parameters[1]};
}

}  // namespace

void store_key_codes(const CodeTarget& target, const float* key, std::byte* head) {
  const Codes made = quantise(key, target.head_dim, target.key_bits);
  for (std::size_t i = 0; i < target.head_dim; ++i) {
    put(head, key_code_place(target.key_bits, target.head_dim, target.block_tokens, target.slot, i), target.key_bits,
        made.codes[i]);
  }
  put_parameters(target, head, key_scale, made.scale);
}

void store_value_codes(const CodeTarget& target, const float* value, std::byte* head) {
  const Codes made = quantise(value, target.head_dim, target.value_bits);
  for (std::size_t i = 0; i < target.head_dim; ++i) {
    put(head + layout(target).values, value_code_place(target.value_bits, target.head_dim, target.slot, i),
        target.value_bits, made.codes[i]);
  }
  put_parameters(target, head, value_scale, made.scale);
}

void rotate(float* x, std::size_t head_dim) {
  const std::size_t n = head_dim & -head_dim;
  const float scale = 1 / std::sqrt(static_cast<float>(n));
  for (float* end = x + head_dim; x != end; x += n) {
    for (std::size_t half = 1; half < n; half *= 2) {
      for (std::size_t i = 0; i < n; ++i) {
        if ((i & half) != 0) continue;
        const float sum = x[i] + x[i + half];
        x[i + half] = x[i] - x[i + half];
        x[i] = sum;
      }
    }
    for (std::size_t i = 0; i < n; ++i) x[i] *= scale;
  }
}

double stored_key(const CodeTarget& target, const std::byte* head, std::size_t i) {
  return number(target, head, key_scale, head,
                key_code_place(target.key_bits, target.head_dim, target.block_tokens, target.slot, i), target.key_bits);
}

double stored_value(const CodeTarget& target, const std::byte* head, std::size_t i) {
  return number(target, head, value_scale, head + layout(target).values,
                value_code_place(target.value_bits, target.head_dim, target.slot, i), target.value_bits);
}

}  // namespace headwater::kernels::cpu::reference
