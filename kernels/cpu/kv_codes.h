#pragma once
// Quantised keys and values in a block: whole numbers ("codes") with scales and minima.
//
// A head of a block holds four parts, one after the other and without padding:
//   keys              [head_dim / 4][block_tokens][4] bytes
//   values            [block_tokens / 4][head_dim][4] bytes
//   keys' parameters, values' parameters
// where four numbers side by side are a quad along a product's sum, as byte products take them. With 4 bits a byte
// holds a number of each of two quads, so that a mask and a shift make two rows of quads out of one: of the keys those
// of the first and the second half of a group, of the values those of tokens t and t + 4. The low half is the first.
//
// In 8 bits a number is scale * code + minimum, with one scale and minimum for a token: parameters are
// [2][block_tokens] bfloat16, scales first. The minimum is rounded down and the scale up, and codes are reckoned from
// what was rounded: so sixteen bits are enough for both.
//
// In 4 bits a group of 32 numbers (of the last of a head there may be 8, 16 or 24) has a scale and a minimum, fitted to
// the numbers by least squares (kv_code_scale.h): parameters are [groups][2][block_tokens] bytes, of each group scales
// first. A number is scale * (code + minimum).
//
// A vector that is not finite, or in 8 bits too large, has NaN as its scales, and only what sees its token becomes NaN.
// In 4 bits what is too large is cut off.

#include <cstddef>
#include <cstdint>

// Files for different instruction sets include this: what is inline here must be inlined.

namespace headwater::kernels::cpu {

/// Quantising takes room on the stack for as many.
inline constexpr std::size_t kMostQuantisedDims = 1024;

/// Numbers of a group in 4 bits.
inline constexpr std::size_t kGroupDims = 32;
[[gnu::always_inline]] constexpr std::size_t group_count(std::size_t head_dim) {
  return (head_dim + kGroupDims - 1) / kGroupDims;
}
[[gnu::always_inline]] constexpr std::size_t group_size(std::size_t head_dim, std::size_t group) {
  const std::size_t left = head_dim - group * kGroupDims;
  return left < kGroupDims ? left : kGroupDims;
}

/// Bytes of a token's parameters.
[[gnu::always_inline]] constexpr std::size_t parameter_bytes(std::size_t bits, std::size_t head_dim) {
  return bits == 8 ? 2 * sizeof(std::uint16_t) : 2 * group_count(head_dim);
}

/// Where the parts of a head lie in a block, in bytes.
struct CodeLayout {
  std::size_t values, key_parameters, value_parameters, end;
};
[[gnu::always_inline]] constexpr CodeLayout code_layout(std::size_t key_bits, std::size_t value_bits,
                                                        std::size_t head_dim, std::size_t block_tokens) {
  const std::size_t values = head_dim * block_tokens * key_bits / 8;
  const std::size_t keys = values + head_dim * block_tokens * value_bits / 8;
  const std::size_t more = keys + block_tokens * parameter_bytes(key_bits, head_dim);
  return {values, keys, more, more + block_tokens * parameter_bytes(value_bits, head_dim)};
}

/// A code's byte, and by how many bits it is shifted there.
struct CodePlace {
  std::size_t byte;
  unsigned shift;
};
[[gnu::always_inline]] constexpr CodePlace key_code_place(std::size_t bits, std::size_t head_dim,
                                                          std::size_t block_tokens, std::size_t token, std::size_t i) {
  if (bits == 8) return {(i / 4 * block_tokens + token) * 4 + i % 4, 0};
  const std::size_t group = i / kGroupDims;
  const std::size_t half = group_size(head_dim, group) / 2;
  const bool upper = i % kGroupDims >= half;
  const std::size_t dim = i % kGroupDims - (upper ? half : 0);
  const std::size_t row = group * (kGroupDims / 8) + dim / 4;
  return {(row * block_tokens + token) * 4 + dim % 4, upper ? 4U : 0U};
}
/// From the beginning of the values on.
[[gnu::always_inline]] constexpr CodePlace value_code_place(std::size_t bits, std::size_t head_dim, std::size_t token,
                                                            std::size_t i) {
  if (bits == 8) return {(token / 4 * head_dim + i) * 4 + token % 4, 0};
  return {(token / 8 * head_dim + i) * 4 + token % 4, token % 8 < 4 ? 0U : 4U};
}

/// Where a token's numbers go.
struct CodeTarget {
  std::size_t head_dim = 0, block_tokens = 0, slot = 0;
  std::uint8_t key_bits = 8, value_bits = 8;
};

/// Quantise and store one token's key (or value), [head_dim], in a head of a block. head_dim is a multiple of 8.
void store_key_codes(const CodeTarget& target, const float* key, std::byte* head);
/// Not for two tokens side by side that share eight slots (8i … 8i + 7): they write the same words.
void store_value_codes(const CodeTarget& target, const float* value, std::byte* head);

/// x = H x / sqrt(n) for every n values, where n is the greatest power of two that divides head_dim.
void rotate(float* x, std::size_t head_dim);

namespace reference {
void store_key_codes(const CodeTarget& target, const float* key, std::byte* head);
void store_value_codes(const CodeTarget& target, const float* value, std::byte* head);
void rotate(float* x, std::size_t head_dim);
/// What a token's key (or value) of a head has as its number i.
double stored_key(const CodeTarget& target, const std::byte* head, std::size_t i);
double stored_value(const CodeTarget& target, const std::byte* head, std::size_t i);
}  // namespace reference

}  // namespace headwater::kernels::cpu
