#pragma once
// How the KV cache keeps keys and values: the one place that knows what a `quant_policy` means.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/block_grid.h"

namespace headwater::kernels {

/// 16 bits are bfloat16. 8 bits are whole numbers with a scale and a minimum for each token and head, bfloat16 both; 4
/// bits such with a scale and a minimum for each 32 numbers of a head, a byte both (kernels/cpu/kv_codes.h).
struct KvFormat {
  std::uint8_t key_bits = 16;  ///< 16, 8 or 4; both 16 or neither
  std::uint8_t value_bits = 16;
  /// Keys and queries are rotated by a Hadamard matrix, which spreads a channel that stands out over all.
  bool rotate_keys = false;
  /// Values are, and what attention makes of them is rotated back.
  bool rotate_values = false;
  /// A vector for each layer and head is taken from every key: all scores of a query change by the same amount, which
  /// softmax does not see.
  bool centre_keys = false;
  /// Keys and queries go through maps (KvMaps) that leave the error of rounding where queries do not look.
  bool balance_keys = false;
  /// The first block of a sequence holds half as many tokens, in 8 bits. Only where all others have 4.
  bool first_in_8_bits = false;

  bool quantised() const { return key_bits < 16; }
  bool operator==(const KvFormat&) const = default;
};

/// "0", "8", "4" or "k8v4" and the like; and without parts of what is done to make up for few bits, any of
/// "-norotate", "-nobalance", "-nocentre", "-nofirst" behind it in this order. Nothing for any other text.
std::optional<KvFormat> parse_quant_policy(std::string_view text);
/// What parse_quant_policy() takes, for messages.
inline constexpr std::string_view kQuantPolicies =
    "0 (keys and values in 16 bits), 8, 4 and k8v4 (keys in 8 bits, values in 4)";

/// What parse_quant_policy() makes the same format of, in its shortest form.
std::string quant_policy(const KvFormat& format);

/// How blocks of so many tokens hold a sequence.
constexpr BlockGrid block_grid(const KvFormat& format, std::uint32_t block_tokens) {
  return {block_tokens, format.first_in_8_bits ? block_tokens / 2 : 0};
}

}  // namespace headwater::kernels
