#include "cache/recency_stack.h"

#include <algorithm>

namespace headwater::cache {

RecencyStack::RecencyStack(std::size_t capacity)
    : capacity_(std::max<std::size_t>(capacity, 1)), slots_(2 * capacity_), tree_(slots_.size() + 1) {}

void RecencyStack::count(std::size_t place, std::int32_t change) {
  for (std::size_t i = place + 1; i < tree_.size(); i += i & -i) tree_[i] += change;
}

std::size_t RecencyStack::counted(std::size_t place) const {
  std::int32_t sum = 0;
  for (std::size_t i = place + 1; i > 0; i -= i & -i) sum += tree_[i];
  return static_cast<std::size_t>(sum);
}

std::optional<std::size_t> RecencyStack::distance(std::uint64_t key) const {
  const auto found = places_.find(key);
  if (found == places_.end()) return std::nullopt;
  return size() - counted(found->second);
}

void RecencyStack::leave(std::size_t place) {
  slots_[place].taken = false;
  count(place, -1);
}

void RecencyStack::use(std::uint64_t key) {
  if (next_ == slots_.size()) move_together();
  const auto [found, is_new] = places_.try_emplace(key, next_);
  if (!is_new) leave(found->second);
  found->second = next_;
  slots_[next_] = {key, true};
  count(next_++, 1);
  if (size() <= capacity_) return;
  while (!slots_[oldest_].taken) ++oldest_;
  places_.erase(slots_[oldest_].key);
  leave(oldest_);
}

void RecencyStack::move_together() {
  const auto end = std::remove_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return !slot.taken; });
  std::fill(end, slots_.end(), Slot{});
  std::fill(tree_.begin(), tree_.end(), 0);
  next_ = static_cast<std::size_t>(end - slots_.begin());
  oldest_ = 0;
  for (std::size_t place = 0; place < next_; ++place) {
    places_.find(slots_[place].key)->second = place;
    count(place, 1);
  }
}

}  // namespace headwater::cache
