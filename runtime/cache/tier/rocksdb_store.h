#pragma once
// Records on a disk, in RocksDB: written in the order of a sequence number, and given up in that order.
//
// Two column families. "default" has the number of each record → its key, size and terms, and is read as the store is
// opened; "blocks" has the number → the record. As numbers only grow, every file of "blocks" holds a span of them, and
// RocksDB's FIFO compaction removes the oldest file where they exceed the limit: nothing is ever rewritten. The store
// gives records up shortly before their file goes, so that it never believes to have one that is gone.

#include <deque>
#include <memory>
#include <unordered_map>

#include "cache/tier/block_store.h"

namespace rocksdb {
class Env;
}

namespace headwater::cache {

struct RocksDbOptions {
  std::string path;              ///< a folder; the store has one of its own in it
  std::uint64_t size_limit = 0;  ///< bytes on the disk with all that belongs to it; kLeastStoreBytes at least
  rocksdb::Env* env = nullptr;   ///< null: the system's files. Outlives the store
};

inline constexpr std::uint64_t kLeastStoreBytes = 16 << 20;

class RocksDbStore : public BlockStore {
 public:
  explicit RocksDbStore(RocksDbOptions options);
  ~RocksDbStore() override;

  /// What is damaged, or written by another version, is thrown away whole: it is a cache.
  Result<std::vector<TierEntry>> open() override;
  /// Errors: a record that is no small part of the limit; what RocksDB reports, until the store is opened anew.
  Result<std::vector<Key>> put(const TierEntry& entry, std::span<const std::byte> head,
                               std::span<const std::byte> body) override;
  Result<bool> get(const Key& key, const Read& read) override;
  Result<void> erase(std::span<const Key> keys) override;
  Result<void> clear() override;
  StoreState state() const override;
  std::string name() const override;

  /// Bytes that records may take: the limit without RocksDB's log, and the files that wait to be removed.
  std::uint64_t capacity() const;

 private:
  struct Database;
  struct Slot {
    std::uint64_t number = 0;
    TierEntry entry{};
    std::uint64_t bytes = 0;
  };

  /// Where RocksDB's files are.
  std::string path() const;
  Result<void> open_all();
  /// Removes RocksDB's files.
  Result<void> destroy();
  Result<void> open_database();
  Result<void> read_keys();
  /// Forgets the records before the number that `keep` more bytes leave no room for. Gives their keys.
  std::vector<Slot> make_room(std::uint64_t more);
  bool holds(const Slot& slot) const;

  RocksDbOptions options_;
  std::unique_ptr<Database> database_;
  std::deque<Slot> slots_;  ///< oldest first, also of records that were replaced: their bytes are still there
  std::unordered_map<Key, std::uint64_t, KeyHash> numbers_;
  std::uint64_t next_number_ = 0;
  std::uint64_t bytes_ = 0;  ///< of slots_
};

}  // namespace headwater::cache
