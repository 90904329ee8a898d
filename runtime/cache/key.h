#pragma once
// Keys of the prefix index: SHA-256 chains.

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "headwater/request.h"

namespace headwater::cache {

using Key = std::array<std::uint8_t, 32>;

inline std::uint64_t beginning(const Key& key) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, key.data(), sizeof bytes);
  return bytes;
}
struct KeyHash {
  std::size_t operator()(const Key& key) const { return beginning(key); }
};

/// What every key of a cache has in common: blocks made from other weights or in another format never match.
struct KeyContext {
  Key model_digest{};     ///< SHA-256 of the model file
  std::string kv_format;  ///< e.g. "8", as kernels::quant_policy() names it
  std::string adapter;    ///< empty: none
  std::string compute;    ///< as model::Architecture::numerics() names it
};

/// The parent of the first block of what a tenant keeps under a salt.
Key root_key(const KeyContext& context, std::string_view tenant, std::string_view salt);
/// SHA-256 of the typed, length-delimited record (parent, tokens).
Key block_key(const Key& parent, std::span<const TokenId> tokens);

}  // namespace headwater::cache
