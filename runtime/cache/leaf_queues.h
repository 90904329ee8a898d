#pragma once
// Blocks that may be given up next, in the order in which a policy gives them up: of low priority first, then by what
// the policy says of the ends of its queues. Threading: one caller at a time.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "cache/eviction_policy.h"

namespace headwater::cache {

class LeafQueues {
 public:
  /// Blocks of a queue in its order; of equals, the deeper first.
  using Order = std::tuple<std::pair<std::int64_t, std::int64_t>, std::int64_t, BlockId>;
  using Queue = std::set<Order>;
  /// Where a block waits.
  struct Place {
    std::uint8_t priority = 0;
    std::uint32_t queue = 0;
    Order order;
  };

  explicit LeafQueues(std::uint32_t queues) : queues_(queues) {}

  void insert(const Place& place);
  void erase(const Place& place);
  bool empty() const { return levels_.empty(); }
  void clear() { levels_.clear(); }

 private:
  friend class LeafWalk;
  /// The queues of one priority; at least one block waits.
  struct Level {
    std::vector<Queue> queues;
    std::uint64_t blocks = 0;
  };

  std::uint32_t queues_;
  std::map<std::uint8_t, Level> levels_;
};

/// Takes blocks in that order without changing the queues. REQUIRES: they stay as they are, and so does the policy.
class LeafWalk {
 public:
  /// `liberties`: that the policy has left, shared with other walks.
  LeafWalk(const LeafQueues& leaves, const EvictionPolicy& policy, std::uint32_t& liberties);
  LeafWalk(const LeafWalk&) = delete;
  LeafWalk& operator=(const LeafWalk&) = delete;

  /// The next block that is not in `taken`; none: there is no more.
  std::optional<BlockId> next(const std::unordered_set<BlockId>& taken);
  /// Adds a block whose children have all been taken.
  void uncover(const LeafQueues::Place& place);

 private:
  using Order = LeafQueues::Order;
  using Queue = LeafQueues::Queue;

  /// What is left of a queue while blocks are taken from its ends.
  class QueueWalk {
   public:
    explicit QueueWalk(const Queue& queue) : begin_(queue.begin()), end_(queue.end()) {}

    void uncover(const Order& order) { uncovered_.insert(order); }
    bool empty() const { return begin_ == end_ && uncovered_.empty(); }
    // REQUIRES: !empty().
    Order first() const;
    Order last() const;
    /// `order`: first() or last().
    void take(const Order& order);

   private:
    Queue::const_iterator begin_, end_;
    Queue uncovered_;
  };
  /// Which end of a queue goes first.
  struct End {
    double worth = 0;
    Order order;
  };
  struct LevelWalk {
    std::vector<QueueWalk> queues;
    std::vector<std::optional<End>> ends;
    bool safe = false;  ///< no liberty is left
  };

  LevelWalk& level(std::uint8_t priority);
  std::optional<End> cheaper_end(const QueueWalk& queue, bool safe) const;
  std::optional<BlockId> next(LevelWalk& level, const std::unordered_set<BlockId>& taken);

  const LeafQueues& leaves_;
  const EvictionPolicy& policy_;
  std::uint32_t& liberties_;
  std::set<std::uint8_t> open_;  ///< priorities of which blocks may be left
  std::map<std::uint8_t, LevelWalk> levels_;
  Queue none_;  ///< of a priority of which blocks are only uncovered
};

}  // namespace headwater::cache
