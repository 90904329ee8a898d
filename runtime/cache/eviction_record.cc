#include "cache/eviction_record.h"

#include <algorithm>

namespace headwater::cache {

EvictionRecord::EvictionRecord(std::uint32_t total_blocks) : ghosts_(std::clamp(total_blocks, kLeast, kMost)) {}

void EvictionRecord::on_evicted(std::uint64_t key, EvictionReason reason) {
  count(reason);
  ghosts_.put(key, {.last_used = 0, .label = static_cast<std::uint8_t>(reason)});
}

void EvictionRecord::on_returned(std::uint64_t key) {
  if (const auto slot = ghosts_.find(key)) ghosts_.erase(*slot);
}

CacheMiss EvictionRecord::why_missing(std::uint64_t key) const {
  const auto slot = ghosts_.find(key);
  if (!slot) return CacheMiss::never_seen;
  const auto reason = static_cast<EvictionReason>(ghosts_.at(*slot)->label);
  return reason == EvictionReason::expired ? CacheMiss::expired : CacheMiss::evicted;
}

}  // namespace headwater::cache
