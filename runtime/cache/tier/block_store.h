#pragma once
// Where a cache tier keeps records of blocks: what a disk, or another machine, must be able to do.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/tier_block.h"
#include "headwater/result.h"

namespace headwater::cache {

struct StoreState {
  std::uint64_t bytes = 0;             ///< of its records
  std::uint64_t capacity = 0;          ///< for records
  std::optional<TenantMark> next_out;  ///< whose record goes first for want of room; none: one that nobody can have
};

/// Keeps records by key, up to a size; what was written longest ago goes first.
///
/// Threading: one caller at a time, which may have to wait for as long as the device takes. Errors have the code
/// "corrupt" where a record is lost and nothing else is wrong, and another where the store is in trouble.
class BlockStore {
 public:
  virtual ~BlockStore() = default;
  BlockStore(const BlockStore&) = delete;
  BlockStore& operator=(const BlockStore&) = delete;

  /// Opens the store, or opens it anew after a trouble. Gives what it holds, oldest first.
  virtual Result<std::vector<TierEntry>> open() = 0;
  /// Keeps `head` and then `body` as one record, in place of one that has the key. Gives the keys that had to go.
  virtual Result<std::vector<Key>> put(const TierEntry& entry, std::span<const std::byte> head,
                                       std::span<const std::byte> body) = 0;
  using Read = std::function<void(std::span<const std::byte> record)>;
  /// Calls `read` once with the record; false: there is none.
  virtual Result<bool> get(const Key& key, const Read& read) = 0;
  /// Once it has returned, no open() finds them. Their bytes may stay on the device until others take their place.
  virtual Result<void> erase(std::span<const Key> keys) = 0;
  /// Erases all, and leaves no byte of them.
  virtual Result<void> clear() = 0;

  /// What a person should hear of, in sentences: what was thrown away as it opened, and such. Each is given once.
  virtual std::vector<std::string> take_notes() { return {}; }

  virtual StoreState state() const = 0;
  virtual std::string name() const = 0;  ///< for messages

 protected:
  BlockStore() = default;
};

}  // namespace headwater::cache
