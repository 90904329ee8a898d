#pragma once
// Saves and loads blocks: the side of a cache tier that waits for the device. It proves what it loads, and turns
// whatever goes wrong into an outcome. What to save and load, TierBooks decides.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/tier/block_store.h"
#include "cache/tier/tier_block.h"
#include "schedule/step.h"

namespace headwater::cache {

struct OpenOutcome {
  std::vector<Key> keys;  ///< that the store holds, oldest first
  std::uint64_t store_bytes = 0;
  std::string error;  ///< not empty: it is not open
};

struct SaveOutcome {
  Key key{};
  std::vector<Key> dropped;  ///< given up for it
  std::uint64_t store_bytes = 0;
  schedule::TimeNs duration = 0;
  std::string error;  ///< not empty: it is not saved, and the store is in trouble
};

struct LoadOutcome {
  std::vector<BlockBytes> blocks;  ///< the first of those asked for
  std::vector<Key> gone;           ///< not there, or no longer
  std::uint32_t mismatches = 0;    ///< of these, how many were there and did not agree
  bool late = false;               ///< the rest was not read, for want of time
  std::uint64_t store_bytes = 0;
  schedule::TimeNs duration = 0;
  std::string error;  ///< not empty: the store is in trouble
};

/// Threading: one caller. Nothing throws.
class TierWorker {
 public:
  /// `clock`: nanoseconds, as deadlines are given.
  TierWorker(std::unique_ptr<BlockStore> store, std::uint64_t block_bytes, std::function<schedule::TimeNs()> clock);

  OpenOutcome open();
  SaveOutcome save(const TierBlock& block);
  /// A chain of blocks, up to the first that cannot be had or the deadline.
  LoadOutcome load(std::span<const BlockName> chain, schedule::TimeNs deadline);

  const BlockStore& store() const { return *store_; }

 private:
  bool load_one(const BlockName& name, LoadOutcome& outcome);

  std::unique_ptr<BlockStore> store_;
  std::uint64_t block_bytes_;
  std::function<schedule::TimeNs()> clock_;
};

}  // namespace headwater::cache
