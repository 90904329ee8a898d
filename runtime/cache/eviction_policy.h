#pragma once
// What is worth keeping: the plug-in part of eviction. What is a candidate, and leaf first, is the Evictor's part.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/prefix_cache.h"
#include "headwater/result.h"

namespace headwater::cache {

/// Ranks idle blocks. No clock: time is passed in, and never goes back. All calls O(log n), amortised.
///
/// A policy puts each idle block into one of its queues. A queue keeps its order while its blocks wait, so a decision
/// compares only the ends of queues, whatever changes with time.
class EvictionPolicy {
 public:
  /// Where an idle block waits. Fixed from on_idle() until the block is busy or forgotten.
  struct Place {
    std::uint32_t queue = 0;
    std::pair<std::int64_t, std::int64_t> order;  ///< the lowest first; of equals, the deeper block
  };

  virtual ~EvictionPolicy() = default;

  /// `touch`: published. The parent, if any, is indexed.
  virtual void on_published(const Touch& touch, TimeNs now) = 0;
  virtual void on_busy(BlockId, TimeNs) {}
  virtual void on_idle(BlockId block, TimeNs now) = 0;
  virtual void on_forgotten(BlockId block) = 0;
  virtual void reset() {}  ///< after every block was forgotten: forget what is remembered of others, too

  virtual std::uint32_t queues() const { return 1; }
  virtual Place place(BlockId block) const = 0;
  /// Of the first and the last block of every queue, the one of lowest worth goes next; of equals, the first one of the
  /// lowest queue.
  virtual double worth(BlockId) const { return 0; }

  /// A policy that may only do as it likes so often says when that is a liberty, and how many it has now; after those,
  /// safe_worth() takes the place of worth(). One that never says so has no need of them.
  virtual std::uint32_t liberties() const { return 0; }
  virtual bool is_liberty(BlockId) const { return false; }
  virtual double safe_worth(BlockId block) const { return worth(block); }
};

/// The names that make_policy() knows; the first is the default.
std::vector<std::string> policy_names();

/// Errors: unknown name; lists the known.
Result<std::unique_ptr<EvictionPolicy>> make_policy(std::string_view name, std::uint32_t total_blocks);

}  // namespace headwater::cache
