#pragma once
// A block of the KV cache outside of the arena: its name, and its bytes.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/key.h"

namespace headwater::cache {

/// What a block holds, and what proves it. The hash proposes; parent and tokens prove.
struct BlockName {
  Key key{};
  Key parent{};                 ///< of the block before it; a tenant's root key for its first block
  std::vector<TokenId> tokens;  ///< block_tokens
  bool operator==(const BlockName&) const = default;
};

/// Memory that is written once, by whoever makes it. Not initialised.
class ByteBuffer {
 public:
  explicit ByteBuffer(std::size_t size) : data_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}
  std::span<std::byte> bytes() { return {data_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_;
};

/// A block's keys and values of all layers and heads, bit by bit as the arena has them. Shared, never changed.
using BlockBytes = std::shared_ptr<const ByteBuffer>;

struct TierBlock {
  BlockName name;
  BlockBytes bytes;
};

}  // namespace headwater::cache
