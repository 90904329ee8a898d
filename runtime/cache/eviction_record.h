#pragma once
// Which blocks left the cache lately and why, so that what was evicted is told from what was never there.
// At most 1.3 MB.

#include <array>
#include <cstdint>

#include "cache/ghost_table.h"
#include "headwater/cache_insight.h"

namespace headwater::cache {

using EvictionCounts = std::array<std::uint64_t, kEvictionReasonNames.size()>;  ///< by EvictionReason

class EvictionRecord {
 public:
  /// Remembers as many blocks as the cache has, within kLeast and kMost.
  explicit EvictionRecord(std::uint32_t total_blocks);

  static constexpr std::uint32_t kLeast = 1024;
  static constexpr std::uint32_t kMost = 65536;

  void on_evicted(std::uint64_t key, EvictionReason reason);
  /// A block that has been evicted is in the cache again.
  void on_returned(std::uint64_t key);
  /// Why a block is not in the cache: evicted, expired or never_seen.
  CacheMiss why_missing(std::uint64_t key) const;

  /// Blocks of which on_evicted() was told or count() heard, since the start.
  const EvictionCounts& counts() const { return counts_; }
  /// An evicted block that nobody will look up, such as a tail.
  void count(EvictionReason reason) { ++counts_[static_cast<std::size_t>(reason)]; }

  void forget_blocks() { ghosts_.clear(); }

 private:
  GhostTable ghosts_;
  EvictionCounts counts_{};
};

}  // namespace headwater::cache
