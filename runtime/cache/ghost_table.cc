#include "cache/ghost_table.h"

#include <algorithm>

namespace headwater::cache {

GhostTable::GhostTable(std::size_t capacity)
    : entries_(std::max<std::size_t>(capacity, 1)), buckets_(entries_.size(), kNone) {
  static_assert(sizeof(Entry) + sizeof(std::uint32_t) <= 24);
}

void GhostTable::put(std::uint64_t key, Ghost ghost) {
  erase(next_);
  ghost.present = 1;
  const std::uint32_t short_key = shorten(key);
  entries_[next_] = {short_key, bucket(short_key), ghost};
  bucket(short_key) = static_cast<std::uint32_t>(next_);
  next_ = (next_ + 1) % entries_.size();
}

std::optional<std::size_t> GhostTable::find(std::uint64_t key) const {
  const std::uint32_t short_key = shorten(key);
  for (std::uint32_t i = buckets_[short_key % buckets_.size()]; i != kNone; i = entries_[i].next) {
    if (entries_[i].key == short_key) return i;
  }
  return std::nullopt;
}

void GhostTable::erase(std::size_t slot) {
  Entry& entry = entries_[slot];
  if (entry.ghost.present == 0) return;
  std::uint32_t* link = &bucket(entry.key);
  while (*link != slot) link = &entries_[*link].next;
  *link = entry.next;
  entry = {};
}

void GhostTable::clear() {
  std::fill(entries_.begin(), entries_.end(), Entry{});
  std::fill(buckets_.begin(), buckets_.end(), kNone);
  next_ = 0;
}

}  // namespace headwater::cache
