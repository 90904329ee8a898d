#include "cache/eviction.h"

#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

namespace headwater::cache {
namespace {

/// What the evictor knows of an indexed block.
struct Known {
  bool indexed = false;
  bool idle = false;
  BlockId parent = -1;
  std::uint32_t depth = 0;
  std::uint32_t children = 0;
};

/// Blocks of a queue in its order; of equals, the deeper first.
using Order = std::tuple<std::pair<std::int64_t, std::int64_t>, std::int64_t, BlockId>;
using Queue = std::set<Order>;

BlockId block_of(const Order& order) { return std::get<BlockId>(order); }

/// What is left of a queue while victims are chosen from its ends.
class QueueWalk {
 public:
  explicit QueueWalk(const Queue& queue) : begin_(queue.begin()), end_(queue.end()) {}

  /// Adds a parent whose children have all been chosen.
  void uncover(Order order) { uncovered_.insert(order); }

  bool empty() const { return begin_ == end_ && uncovered_.empty(); }
  /// REQUIRES: !empty().
  Order first() const {
    if (uncovered_.empty()) return *begin_;
    return begin_ == end_ ? *uncovered_.begin() : std::min(*begin_, *uncovered_.begin());
  }
  Order last() const {
    if (uncovered_.empty()) return *std::prev(end_);
    return begin_ == end_ ? *uncovered_.rbegin() : std::max(*std::prev(end_), *uncovered_.rbegin());
  }
  /// `order`: first() or last().
  void take(const Order& order) {
    if (uncovered_.erase(order) > 0) return;
    *begin_ == order ? static_cast<void>(++begin_) : static_cast<void>(--end_);
  }

 private:
  Queue::const_iterator begin_, end_;
  Queue uncovered_;
};

/// Which end of a queue goes first.
struct End {
  double worth = 0;
  Order order;
};

std::optional<End> cheaper_end(const QueueWalk& walk, const EvictionPolicy& policy) {
  if (walk.empty()) return std::nullopt;
  const Order first = walk.first();
  const Order last = walk.last();
  const End ends[] = {{policy.worth(block_of(first)), first}, {policy.worth(block_of(last)), last}};
  return ends[1].worth < ends[0].worth ? ends[1] : ends[0];
}

}  // namespace

struct Evictor::Impl {
  std::unique_ptr<EvictionPolicy> policy;
  std::vector<Known> known;
  std::vector<Queue> leaves;  ///< idle blocks without indexed children
  std::uint64_t idle = 0;

  Known& at(BlockId block) { return known.at(static_cast<std::size_t>(block)); }
  const Known& at(BlockId block) const { return known.at(static_cast<std::size_t>(block)); }
  Order order(BlockId block, const EvictionPolicy::Place& place) const {
    return {place.order, -std::int64_t{at(block).depth}, block};
  }
  bool is_leaf(BlockId block) const { return at(block).indexed && at(block).idle && at(block).children == 0; }

  void add_if_leaf(BlockId block) {
    if (block < 0 || !is_leaf(block)) return;
    const auto place = policy->place(block);
    leaves.at(place.queue).insert(order(block, place));
  }
  void remove(BlockId block) {
    if (block < 0 || !is_leaf(block)) return;
    const auto place = policy->place(block);
    leaves.at(place.queue).erase(order(block, place));
  }

  void set_idle(BlockId block, bool now_idle) {
    if (at(block).idle == now_idle) return;
    at(block).idle = now_idle;
    now_idle ? ++idle : --idle;
  }

  void on_touch(const Touch& touch, schedule::TimeNs now) {
    const BlockId block = touch.block;
    remove(block);  // its place is about to change
    switch (touch.kind) {
      case Touch::Kind::published:
        remove(touch.parent);
        at(block) = {true, false, touch.parent, touch.depth, 0};
        if (touch.parent >= 0) ++at(touch.parent).children;
        policy->on_published(touch, now);
        break;
      case Touch::Kind::busy:
        policy->on_busy(block, now);
        set_idle(block, false);
        break;
      case Touch::Kind::idle:
        policy->on_idle(block, now);
        set_idle(block, true);
        add_if_leaf(block);
        break;
      case Touch::Kind::forgotten: {
        const BlockId parent = at(block).parent;
        set_idle(block, false);
        at(block) = {};
        policy->on_forgotten(block);
        if (parent >= 0) {
          --at(parent).children;
          add_if_leaf(parent);
        }
        break;
      }
    }
  }
};

Evictor::Evictor(std::unique_ptr<EvictionPolicy> policy, std::uint32_t total_blocks) : impl_(std::make_unique<Impl>()) {
  impl_->leaves.resize(policy->queues());
  impl_->policy = std::move(policy);
  impl_->known.resize(total_blocks);
}
Evictor::~Evictor() = default;

void Evictor::on_touches(std::span<const Touch> touches, schedule::TimeNs now) {
  for (const Touch& touch : touches) impl_->on_touch(touch, now);
}

std::vector<BlockId> Evictor::victims(std::uint32_t n) const {
  const Impl& evictor = *impl_;
  const EvictionPolicy& policy = *evictor.policy;
  std::vector<QueueWalk> walks(evictor.leaves.begin(), evictor.leaves.end());
  std::vector<std::optional<End>> ends;
  for (const QueueWalk& walk : walks) ends.push_back(cheaper_end(walk, policy));
  std::vector<BlockId> chosen;
  std::unordered_map<BlockId, std::uint32_t> taken_children;
  while (chosen.size() < n) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i] && (!best || ends[i]->worth < ends[*best]->worth)) best = i;
    }
    if (!best) break;
    const Order order = ends[*best]->order;
    walks[*best].take(order);
    ends[*best] = cheaper_end(walks[*best], policy);
    chosen.push_back(block_of(order));
    const BlockId parent = evictor.at(block_of(order)).parent;
    if (parent < 0 || !evictor.at(parent).idle) continue;
    if (++taken_children[parent] < evictor.at(parent).children) continue;
    const auto place = policy.place(parent);
    walks[place.queue].uncover(evictor.order(parent, place));
    ends[place.queue] = cheaper_end(walks[place.queue], policy);
  }
  return chosen;
}

std::uint64_t Evictor::candidates() const { return impl_->idle; }

void Evictor::reset() {
  for (std::size_t i = 0; i < impl_->known.size(); ++i) {
    if (impl_->known[i].indexed) impl_->policy->on_forgotten(static_cast<BlockId>(i));
    impl_->known[i] = {};
  }
  impl_->policy->reset();
  for (Queue& queue : impl_->leaves) queue.clear();
  impl_->idle = 0;
}

}  // namespace headwater::cache
