#include "kernels/cpu/kv_codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/kv_code_scale.h"

namespace headwater::kernels::cpu::reference {
namespace {

/// A token's codes, and its parameters as they stand in a block.
struct Codes {
  std::vector<unsigned> codes;
  std::vector<std::byte> parameters;  ///< in the order of their rows
};

void append(std::vector<std::byte>& bytes, std::uint16_t number) {
  bytes.push_back(static_cast<std::byte>(number & 0xFFU));
  bytes.push_back(static_cast<std::byte>(number >> 8U));
}

Codes quantise_to_8(const float* x, std::size_t n) {
  constexpr float kLevels = 255;
  const bool finite = std::all_of(x, x + n, [](float value) { return std::isfinite(value); });
  const CodeScale scale = code_scale(*std::min_element(x, x + n), *std::max_element(x, x + n), finite, kLevels);
  Codes result{std::vector<unsigned>(n), {}};
  append(result.parameters, scale.scale_bits());
  append(result.parameters, scale.minimum_bits());
  if (std::isnan(scale.scale)) return result;
  for (std::size_t i = 0; i < n; ++i) {
    const float code = std::nearbyint((x[i] - scale.minimum) * scale.inverse);
    result.codes[i] = static_cast<unsigned>(std::clamp(code, 0.0F, kLevels));
  }
  return result;
}

float code_of(float x, float minimum, float inverse) {
  return std::clamp(std::nearbyint((x - minimum) * inverse), 0.0F, kGroupLevels);
}

/// The sum of n numbers, a multiple of 8 up to 32: of each eighth one, then halves.
template <class Number>
float sum_in_order(std::size_t n, const Number& number) {
  float sums[8];
  for (std::size_t i = 0; i < 8; ++i) {
    sums[i] = number(i);
    for (std::size_t k = i + 8; k < n; k += 8) sums[i] += number(k);
  }
  for (std::size_t half = 4; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

FittedRange refit(const float* x, std::size_t n, float mean, const CodeRange& range) {
  const float inverse = 1 / range.step;
  const auto code = [&](std::size_t i) { return code_of(x[i], range.minimum, inverse); };
  const CodeSums sums{sum_in_order(n, code), sum_in_order(n, [&](std::size_t i) { return code(i) * code(i); }),
                      sum_in_order(n, [&](std::size_t i) { return code(i) * x[i]; })};
  return fit_range(range, sums, mean, static_cast<float>(n));
}

/// Of a group.
void quantise_to_4(const float* given, std::size_t n, Codes& result) {
  if (!std::all_of(given, given + n, [](float value) { return std::isfinite(value); })) {
    result.codes.insert(result.codes.end(), n, 0);
    result.parameters.insert(result.parameters.end(), {std::byte{kNanScale}, std::byte{0}});
    return;
  }
  float x[kGroupDims];
  for (std::size_t i = 0; i < n; ++i) x[i] = std::clamp(given[i], -kGreatestNumber, kGreatestNumber);
  const float least = *std::min_element(x, x + n);
  const float greatest = *std::max_element(x, x + n);
  const float mean = sum_in_order(n, [&](std::size_t i) { return x[i]; }) / static_cast<float>(n);
  FittedRange best{first_range(0, least, greatest), -1};
  for (std::size_t which = 0; which < kFirstRanges; ++which) {
    const FittedRange fitted = refit(x, n, mean, first_range(which, least, greatest));
    if (fitted.explained > best.explained) best = fitted;
  }
  const FittedRange last = refit(x, n, mean, best.range);
  const std::uint8_t scale = scale_byte(last.range.step, least, greatest);
  const CodeRange wanted = with_step(last.range, group_scale(scale));
  const float inverse = 1 / wanted.step;
  const float codes = sum_in_order(n, [&](std::size_t i) { return code_of(x[i], wanted.minimum, inverse); });
  const float middle = mean - wanted.step * (codes / static_cast<float>(n));
  const std::uint8_t lowest = minimum_byte(middle, wanted.step);
  const float minimum = wanted.step * group_minimum(lowest);
  for (std::size_t i = 0; i < n; ++i) result.codes.push_back(static_cast<unsigned>(code_of(x[i], minimum, inverse)));
  result.parameters.insert(result.parameters.end(), {std::byte{scale}, std::byte{lowest}});
}

Codes quantise(const float* x, std::size_t n, std::uint8_t bits) {
  if (bits == 8) return quantise_to_8(x, n);
  Codes result;
  for (std::size_t i = 0; i < n; i += kGroupDims) quantise_to_4(x + i, std::min(kGroupDims, n - i), result);
  return result;
}

void put(std::byte* codes, CodePlace place, std::uint8_t bits, unsigned code) {
  const auto mask = static_cast<std::byte>(((1U << bits) - 1U) << place.shift);
  codes[place.byte] = (codes[place.byte] & ~mask) | static_cast<std::byte>(code << place.shift);
}

CodeLayout layout(const CodeTarget& target) {
  return code_layout(target.key_bits, target.value_bits, target.head_dim, target.block_tokens);
}

/// Bytes of one parameter.
std::size_t width(std::uint8_t bits) { return bits == 8 ? sizeof(std::uint16_t) : 1; }

void put_parameters(const CodeTarget& target, std::uint8_t bits, const std::vector<std::byte>& parameters,
                    std::byte* rows) {
  const std::size_t n = width(bits);
  for (std::size_t i = 0; i < parameters.size(); i += n) {
    std::copy_n(parameters.data() + i, n, rows + i * target.block_tokens + target.slot * n);
  }
}

/// A number as it is stored. group: of its parameters.
double number(const CodeTarget& target, std::uint8_t bits, const std::byte* codes, CodePlace place,
              const std::byte* rows, std::size_t group) {
  const unsigned code = (std::to_integer<unsigned>(codes[place.byte]) >> place.shift) & ((1U << bits) - 1U);
  const auto parameter = [&](std::size_t row) {
    return rows + (row * target.block_tokens + target.slot) * width(bits);
  };
  if (bits == 4) {
    const double scale = group_scale(std::to_integer<std::uint8_t>(*parameter(2 * group)));
    return scale * (code + double{group_minimum(std::to_integer<std::uint8_t>(*parameter(2 * group + 1)))});
  }
  float both[2];
  for (std::size_t i = 0; i < 2; ++i) {
    std::uint16_t upper = 0;
    std::memcpy(&upper, parameter(i), sizeof(upper));
    both[i] = std::bit_cast<float>(std::uint32_t{upper} << 16U);
  }
  return double{both[0]} * code + double{both[1]};
}

}  // namespace

void store_key_codes(const CodeTarget& target, const float* key, std::byte* head) {
  const Codes made = quantise(key, target.head_dim, target.key_bits);
  for (std::size_t i = 0; i < target.head_dim; ++i) {
    put(head, key_code_place(target.key_bits, target.head_dim, target.block_tokens, target.slot, i), target.key_bits,
        made.codes[i]);
  }
  put_parameters(target, target.key_bits, made.parameters, head + layout(target).key_parameters);
}

void store_value_codes(const CodeTarget& target, const float* value, std::byte* head) {
  const Codes made = quantise(value, target.head_dim, target.value_bits);
  for (std::size_t i = 0; i < target.head_dim; ++i) {
    put(head + layout(target).values, value_code_place(target.value_bits, target.head_dim, target.slot, i),
        target.value_bits, made.codes[i]);
  }
  put_parameters(target, target.value_bits, made.parameters, head + layout(target).value_parameters);
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
  return number(target, target.key_bits, head,
                key_code_place(target.key_bits, target.head_dim, target.block_tokens, target.slot, i),
                head + layout(target).key_parameters, i / kGroupDims);
}

double stored_value(const CodeTarget& target, const std::byte* head, std::size_t i) {
  return number(target, target.value_bits, head + layout(target).values,
                value_code_place(target.value_bits, target.head_dim, target.slot, i),
                head + layout(target).value_parameters, i / kGroupDims);
}

}  // namespace headwater::kernels::cpu::reference
