#include "cache/leaf_queues.h"

#include <algorithm>

namespace headwater::cache {

void LeafQueues::insert(const Place& place) {
  Level& level = levels_[place.priority];
  if (level.queues.empty()) level.queues.resize(queues_);
  if (level.queues.at(place.queue).insert(place.order).second) ++level.blocks;
}

void LeafQueues::erase(const Place& place) {
  const auto level = levels_.find(place.priority);
  if (level == levels_.end()) return;
  level->second.blocks -= level->second.queues.at(place.queue).erase(place.order);
  if (level->second.blocks == 0) levels_.erase(level);
}

LeafWalk::Order LeafWalk::QueueWalk::first() const {
  if (uncovered_.empty()) return *begin_;
  return begin_ == end_ ? *uncovered_.begin() : std::min(*begin_, *uncovered_.begin());
}

LeafWalk::Order LeafWalk::QueueWalk::last() const {
  if (uncovered_.empty()) return *std::prev(end_);
  return begin_ == end_ ? *uncovered_.rbegin() : std::max(*std::prev(end_), *uncovered_.rbegin());
}

void LeafWalk::QueueWalk::take(const Order& order) {
  if (uncovered_.erase(order) > 0) return;
  *begin_ == order ? static_cast<void>(++begin_) : static_cast<void>(--end_);
}

LeafWalk::LeafWalk(const LeafQueues& leaves, const EvictionPolicy& policy, std::uint32_t& liberties)
    : leaves_(leaves), policy_(policy), liberties_(liberties) {
  for (const auto& [priority, level] : leaves.levels_) open_.insert(priority);
}

LeafWalk::LevelWalk& LeafWalk::level(std::uint8_t priority) {
  const auto [entry, is_new] = levels_.try_emplace(priority);
  LevelWalk& walk = entry->second;
  if (!is_new) return walk;
  const auto found = leaves_.levels_.find(priority);
  walk.safe = liberties_ == 0;
  for (std::uint32_t i = 0; i < leaves_.queues_; ++i) {
    walk.queues.emplace_back(found == leaves_.levels_.end() ? none_ : found->second.queues[i]);
    walk.ends.push_back(cheaper_end(walk.queues.back(), walk.safe));
  }
  return walk;
}

std::optional<LeafWalk::End> LeafWalk::cheaper_end(const QueueWalk& queue, bool safe) const {
  if (queue.empty()) return std::nullopt;
  const auto end = [&](const Order& order) {
    const BlockId block = std::get<BlockId>(order);
    return End{safe ? policy_.safe_worth(block) : policy_.worth(block), order};
  };
  const End first = end(queue.first()), last = end(queue.last());
  return last.worth < first.worth ? last : first;
}

std::optional<BlockId> LeafWalk::next(LevelWalk& level, const std::unordered_set<BlockId>& taken) {
  if (liberties_ == 0 && !level.safe) {
    level.safe = true;
    for (std::size_t i = 0; i < level.ends.size(); ++i) level.ends[i] = cheaper_end(level.queues[i], true);
  }
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < level.ends.size(); ++i) {
    if (level.ends[i] && (!best || level.ends[i]->worth < level.ends[*best]->worth)) best = i;
  }
  if (!best) return std::nullopt;
  const Order order = level.ends[*best]->order;
  const BlockId block = std::get<BlockId>(order);
  level.queues[*best].take(order);
  level.ends[*best] = cheaper_end(level.queues[*best], level.safe);
  if (!level.safe && !taken.contains(block) && policy_.is_liberty(block)) --liberties_;
  return block;
}

std::optional<BlockId> LeafWalk::next(const std::unordered_set<BlockId>& taken) {
  while (!open_.empty()) {
    LevelWalk& lowest = level(*open_.begin());
    while (const auto block = next(lowest, taken)) {
      if (!taken.contains(*block)) return block;
    }
    open_.erase(open_.begin());
  }
  return std::nullopt;
}

void LeafWalk::uncover(const LeafQueues::Place& place) {
  LevelWalk& walk = level(place.priority);
  walk.queues.at(place.queue).uncover(place.order);
  walk.ends[place.queue] = cheaper_end(walk.queues[place.queue], walk.safe);
  open_.insert(place.priority);
}

}  // namespace headwater::cache
