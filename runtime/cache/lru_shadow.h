#pragma once
// What a cache of the same size would hold under LRU, block for block, beside one that goes by something else: the keys
// that were used last. Of each it knows where the cache has it, or that the cache lacks it. 24 bytes a key; all calls
// O(1). Threading: one caller at a time.

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/prefix_cache.h"

namespace headwater::cache {

/// Keys are told by 32 bits: of a million, one in four thousand would be taken for another.
class LruShadow {
 public:
  explicit LruShadow(std::uint32_t capacity);

  bool holds(std::uint32_t key) const { return find(key) != kNone; }
  /// Keys that LRU would hold and the cache does not.
  std::uint32_t lacking() const { return lacking_; }

  /// The key is used, in a block of the cache. Returns the block of the key that LRU gives up for it, if the cache has
  /// that one.
  std::optional<BlockId> use(std::uint32_t key, BlockId block);
  /// The cache has the key again. Returns whether LRU held it.
  bool regain(std::uint32_t key, BlockId block);
  /// The cache gives up its block of the key.
  void lose(std::uint32_t key, BlockId block);

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Entry {
    std::uint32_t key = 0;
    BlockId block = -1;           ///< -1: the cache lacks it
    std::uint32_t newer = kNone;  ///< in the order of use
    std::uint32_t older = kNone;
    std::uint32_t next = kNone;  ///< in its bucket
  };

  std::uint32_t& bucket(std::uint32_t key) { return buckets_[slot(key)]; }
  std::size_t slot(std::uint32_t key) const { return key * 0x9E3779B97F4A7C15ULL >> 32U & (buckets_.size() - 1); }
  std::uint32_t find(std::uint32_t key) const;
  void set_block(Entry& entry, BlockId block);
  void leave_order(std::uint32_t place);
  void to_front(std::uint32_t place);
  void leave_bucket(std::uint32_t place);

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> buckets_;  ///< the first entry of each; a power of two
  std::uint32_t size_ = 0;
  std::uint32_t newest_ = kNone, oldest_ = kNone;
  std::uint32_t lacking_ = 0;
};

}  // namespace headwater::cache
