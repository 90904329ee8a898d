#pragma once
// Where a cache tier keeps records of blocks: what a disk, or another machine, must be able to do.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cache/key.h"
#include "headwater/result.h"

namespace headwater::cache {

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
  virtual Result<std::vector<Key>> open() = 0;
  /// Keeps `head` and then `body` as one record, in place of one that has the key. Gives the keys that had to go.
  virtual Result<std::vector<Key>> put(const Key& key, std::span<const std::byte> head,
                                       std::span<const std::byte> body) = 0;
  using Read = std::function<void(std::span<const std::byte> record)>;
  /// Calls `read` once with the record; false: there is none.
  virtual Result<bool> get(const Key& key, const Read& read) = 0;
  virtual Result<void> erase(const Key& key) = 0;

  virtual std::uint64_t bytes() const = 0;  ///< of its records
  virtual std::string name() const = 0;     ///< for messages

 protected:
  BlockStore() = default;
};

}  // namespace headwater::cache
