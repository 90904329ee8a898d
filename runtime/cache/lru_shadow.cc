#include "cache/lru_shadow.h"

#include <algorithm>
#include <bit>

namespace headwater::cache {

LruShadow::LruShadow(std::uint32_t capacity)
    : entries_(std::max<std::uint32_t>(capacity, 1)), buckets_(std::bit_floor(entries_.size()), kNone) {
  static_assert(sizeof(Entry) + sizeof(std::uint32_t) <= 24);
}

std::uint32_t LruShadow::find(std::uint32_t key) const {
  std::uint32_t place = buckets_[slot(key)];
  while (place != kNone && entries_[place].key != key) place = entries_[place].next;
  return place;
}

void LruShadow::set_block(Entry& entry, BlockId block) {
  lacking_ += block < 0 ? 1U : 0U;
  lacking_ -= entry.block < 0 ? 1U : 0U;
  entry.block = block;
}

std::optional<BlockId> LruShadow::use(std::uint32_t key, BlockId block) {
  std::uint32_t place = find(key);
  std::optional<BlockId> given_up;
  if (place != kNone) {
    leave_order(place);
    set_block(entries_[place], block);
  } else {
    if (size_ < entries_.size()) {
      place = size_++;
    } else {
      place = oldest_;
      leave_order(place);
      leave_bucket(place);
      if (entries_[place].block >= 0) given_up = entries_[place].block;
      set_block(entries_[place], block);
    }
    entries_[place].key = key;
    entries_[place].block = block;
    entries_[place].next = bucket(key);
    bucket(key) = place;
  }
  to_front(place);
  return given_up;
}

bool LruShadow::regain(std::uint32_t key, BlockId block) {
  const std::uint32_t place = find(key);
  if (place == kNone) return false;
  set_block(entries_[place], block);
  return true;
}

void LruShadow::lose(std::uint32_t key, BlockId block) {
  const std::uint32_t place = find(key);
  if (place != kNone && entries_[place].block == block) set_block(entries_[place], -1);
}

void LruShadow::leave_order(std::uint32_t place) {
  const Entry& entry = entries_[place];
  (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
  (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
}

void LruShadow::to_front(std::uint32_t place) {
  entries_[place].newer = kNone;
  entries_[place].older = newest_;
  (newest_ == kNone ? oldest_ : entries_[newest_].newer) = place;
  newest_ = place;
}

void LruShadow::leave_bucket(std::uint32_t place) {
  std::uint32_t* link = &bucket(entries_[place].key);
  while (*link != place) link = &entries_[*link].next;
  *link = entries_[place].next;
}

}  // namespace headwater::cache
