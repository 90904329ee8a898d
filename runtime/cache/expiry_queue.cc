#include "cache/expiry_queue.h"

#include <algorithm>
#include <tuple>

namespace headwater::cache {

bool ExpiryQueue::before(const Entry& left, const Entry& right) {
  return std::tuple(left.deadline, right.depth, left.block) < std::tuple(right.deadline, left.depth, right.block);
}

void ExpiryQueue::put(std::uint32_t at, const Entry& entry) {
  heap_[at] = entry;
  place(entry.block) = at;
}

/// Moves the entry at `at` to where the heap's order wants it.
void ExpiryQueue::settle(std::uint32_t at) {
  const Entry entry = heap_[at];
  const auto size = static_cast<std::uint32_t>(heap_.size());
  while (at > 0 && before(entry, heap_[(at - 1) / 2])) {
    put(at, heap_[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  for (std::uint32_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && before(heap_[child + 1], heap_[child])) ++child;
    if (!before(heap_[child], entry)) break;
    put(at, heap_[child]);
    at = child;
  }
  put(at, entry);
}

void ExpiryQueue::set(BlockId block, TimeNs deadline, std::uint32_t depth) {
  if (place(block) == kOut) {
    place(block) = static_cast<std::uint32_t>(heap_.size());
    heap_.emplace_back();
  }
  const std::uint32_t at = place(block);
  heap_[at] = {deadline, depth, block};
  settle(at);
}

void ExpiryQueue::remove(BlockId block) {
  const std::uint32_t at = place(block);
  if (at == kOut) return;
  place(block) = kOut;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (last.block == block) return;
  put(at, last);
  settle(at);
}

void ExpiryQueue::clear() {
  heap_.clear();
  std::ranges::fill(places_, kOut);
}

}  // namespace headwater::cache
