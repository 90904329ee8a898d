#pragma once
// Quantised keys and values in a block: whole numbers ("codes") with a scale and a minimum for each token.
//
// A head of a block holds four parts, one after the other and without padding:
//   keys        [head_dim / 4][block_tokens][4] bytes
//   values      [block_tokens / 4][head_dim][4] bytes
//   parameters  [4][block_tokens] bfloat16: scale and minimum of the keys, scale and minimum of the values
// where four numbers side by side are a quad along a product's sum, as byte products take them. With 4 bits a byte
// holds a number of each of two quads, so that a mask and a shift make two rows of quads out of one: of the keys those
// of dimensions i and i + head_dim / 2, of the values those of tokens t and t + 4. The low half is the first.
//
// A number is scale * code + minimum. The minimum is rounded down and the scale up, and codes are reckoned from what
// was rounded: so sixteen bits are enough for both. A vector that is not finite, or too large for that, has NaN as its
// parameters, and only what sees its token becomes NaN.

#include <cstddef>
#include <cstdint>

// Files for different instruction sets include this: what is inline here must be inlined.

namespace headwater::kernels::cpu {

/// Quantising takes room on the stack for as many.
inline constexpr std::size_t kMostQuantisedDims = 1024;

/// Where the parts of a head lie in a block, in bytes.
struct CodeLayout {
  std::size_t values, parameters, end;
};
[[gnu::always_inline]] constexpr CodeLayout code_layout(std::size_t key_bits, std::size_t value_bits,
                                                        std::size_t head_dim, std::size_t block_tokens) {
  const std::size_t values = head_dim * block_tokens * key_bits / 8;
  const std::size_t parameters = values + head_dim * block_tokens * value_bits / 8;
  return {values, parameters, parameters + 4 * block_tokens * sizeof(std::uint16_t)};
}

/// Rows of the parameters.
enum CodeParameter : std::uint8_t { key_scale, key_minimum, value_scale, value_minimum };

/// A code's byte, and by how many bits it is shifted there.
struct CodePlace {
  std::size_t byte;
  unsigned shift;
};
[[gnu::always_inline]] constexpr CodePlace key_code_place(std::size_t bits, std::size_t head_dim,
                                                          std::size_t block_tokens, std::size_t token, std::size_t i) {
  const bool upper = bits == 4 && i >= head_dim / 2;
  const std::size_t dim = upper ? i - head_dim / 2 : i;
  return {(dim / 4 * block_tokens + token) * 4 + dim % 4, upper ? 4U : 0U};
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
