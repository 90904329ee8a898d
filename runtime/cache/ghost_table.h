#pragma once
// Remembers blocks that left the cache, the latest of them. 24 bytes each.

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/block_run.h"

namespace headwater::cache {

/// What is remembered of a block.
struct Ghost {
  std::uint32_t last_used = 0;   ///< the low bits of its owner's clock
  std::uint8_t label = 0;        ///< for its owner
  std::uint8_t uses : 7 = 0;     ///< for its owner
  std::uint8_t present : 1 = 0;  ///< the table's own mark
  BlockRun after{};              ///< given up before it
};

/// A ring of ghosts with chained hashing over it. A key is told by 32 bits: a mistaken one costs a guess, not a hit.
class GhostTable {
 public:
  explicit GhostTable(std::size_t capacity);

  std::size_t size() const { return entries_.size(); }  ///< slots
  /// What is in a slot, if anything.
  const Ghost* at(std::size_t slot) const { return entries_[slot].ghost.present ? &entries_[slot].ghost : nullptr; }
  /// The low half of its key. REQUIRES: something is in the slot.
  std::uint32_t key(std::size_t slot) const { return entries_[slot].key; }
  /// The slot that the next put() takes; what is in it is forgotten.
  std::size_t next() const { return next_; }

  void put(std::uint64_t key, Ghost ghost);
  /// The slot of the key.
  std::optional<std::size_t> find(std::uint64_t key) const;
  void erase(std::size_t slot);
  void clear();

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Entry {
    std::uint32_t key = 0;
    std::uint32_t next = kNone;  ///< in its bucket
    Ghost ghost;
  };

  std::uint32_t& bucket(std::uint32_t key) { return buckets_[key % buckets_.size()]; }
  static std::uint32_t shorten(std::uint64_t key) { return static_cast<std::uint32_t>(key ^ (key >> 32)); }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> buckets_;  ///< the first entry of each
  std::size_t next_ = 0;
};

}  // namespace headwater::cache
