#pragma once
// Saves and loads blocks: the side of a cache tier that waits for the device. It proves what it loads, and turns
// whatever goes wrong into an outcome. What to save and load, TierBooks decides.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "cache/tier/block_store.h"
#include "cache/tier_block.h"

namespace headwater::cache {

struct OpenOutcome {
  std::vector<TierEntry> entries;  ///< that the store holds, oldest first
  StoreState store;
  std::vector<std::string> notes;  ///< of the store, for a person
  std::string error;               ///< not empty: it is not open
};

struct SaveOutcome {
  Key key{};
  std::vector<Key> dropped;  ///< given up for it
  StoreState store;
  std::vector<std::string> notes;
  TimeNs duration = 0;
  std::string error;  ///< not empty: it is not saved, and the store is in trouble
};

struct LoadOutcome {
  std::vector<BlockBytes> blocks;  ///< the first of those asked for
  std::vector<Key> gone;           ///< not there, or no longer
  std::uint32_t mismatches = 0;    ///< of these, how many were there and did not agree
  bool late = false;               ///< the rest was not read, for want of time
  StoreState store;
  TimeNs duration = 0;
  std::string error;  ///< not empty: the store is in trouble
};

/// What is to be erased.
struct Erasure {
  bool all = false;       ///< whatever it is
  std::vector<Key> keys;  ///< if not all
  bool empty() const { return !all && keys.empty(); }
};

struct EraseOutcome {
  StoreState store;
  std::string error;  ///< not empty: it is not erased, and the store is in trouble
};

/// Threading: one caller. Nothing throws.
class TierWorker {
 public:
  using Clock = std::function<TimeNs()>;

  /// `clock`: nanoseconds, as deadlines are given. `wall_clock`: nanoseconds since 1970, which outlive the process.
  TierWorker(std::unique_ptr<BlockStore> store, std::uint64_t block_bytes, Clock clock, Clock wall_clock);

  /// Erases at once what has expired meanwhile.
  OpenOutcome open();
  SaveOutcome save(const TierBlock& block);
  /// A chain of blocks, up to the first that cannot be had or the deadline.
  LoadOutcome load(std::span<const BlockName> chain, TimeNs deadline);

  EraseOutcome erase(const Erasure& what);

  const BlockStore& store() const { return *store_; }

 private:
  bool load_one(const BlockName& name, LoadOutcome& outcome);
  /// A time of one clock by the other.
  static TimeNs translate(TimeNs time, const Clock& from, const Clock& to);

  std::unique_ptr<BlockStore> store_;
  std::uint64_t block_bytes_;
  Clock clock_, wall_clock_;
};

}  // namespace headwater::cache
