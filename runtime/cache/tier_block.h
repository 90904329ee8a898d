#pragma once
// A block of the KV cache outside of the arena: its name, and its bytes.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.h"

namespace headwater::cache {

/// What a block holds, and what proves it. The hash proposes; parent and tokens prove.
struct BlockName {
  Key key{};
  Key parent{};                 ///< of the block before it; a tenant's root key for its first block
  std::vector<TokenId> tokens;  ///< all that it has room for
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

/// A tenant's digest (see CacheStatus); all zeros: the tenant without a name.
using TenantMark = std::array<char, 12>;
inline TenantMark tenant_mark(std::string_view digest) {
  TenantMark mark{};
  std::ranges::copy(digest.substr(0, mark.size()), mark.begin());
  return mark;
}
inline std::string digest_of(const TenantMark& mark) { return {mark.begin(), std::ranges::find(mark, '\0')}; }

/// Whose a block is, and until when a tier may give it to prompts.
struct TierTerms {
  TenantMark tenant{};
  /// ns, as the scheduler's clock counts; in a store since 1970. The largest number: for ever.
  std::int64_t expires = std::numeric_limits<std::int64_t>::max();
  bool operator==(const TierTerms&) const = default;
};

/// What a tier notes of a block.
struct TierEntry {
  Key key{};
  TierTerms terms{};
  bool operator==(const TierEntry&) const = default;
};

struct TierBlock {
  BlockName name;
  BlockBytes bytes;
  TierTerms terms{};

  TierEntry entry() const { return {name.key, terms}; }
};

}  // namespace headwater::cache
