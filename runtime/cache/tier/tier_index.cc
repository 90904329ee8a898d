#include "cache/tier/tier_index.h"

#include <utility>

namespace headwater::cache {

void TierIndex::put(const TierEntry& entry) {
  erase(entry.key);
  blocks_[entry.key] = {++puts_, entry.terms};
  ++tenants_[entry.terms.tenant];
  if (entry.terms.expires != kNever) expiries_.emplace(entry.terms.expires, entry.key);
}

TierIndex::Blocks::iterator TierIndex::erase(Blocks::iterator block) {
  const TierTerms& terms = block->second.terms;
  expiries_.erase({terms.expires, block->first});
  const auto tenant = tenants_.find(terms.tenant);
  if (--tenant->second == 0) tenants_.erase(tenant);
  return blocks_.erase(block);
}

void TierIndex::erase(const Key& key) {
  if (const auto found = blocks_.find(key); found != blocks_.end()) erase(found);
}

void TierIndex::clear() { *this = {}; }

void TierIndex::prolong(const Key& key, TimeNs expires) {
  TierTerms& terms = blocks_.at(key).terms;
  if (expires <= terms.expires) return;
  expiries_.erase({terms.expires, key});
  terms.expires = expires;
  if (expires != kNever) expiries_.emplace(expires, key);
}

std::vector<Key> TierIndex::take_expired(TimeNs now) {
  std::vector<Key> keys;
  while (next_expiry() <= now) {
    keys.push_back(expiries_.begin()->second);
    erase(keys.back());
  }
  return keys;
}

std::vector<Key> TierIndex::take(const TenantMark& tenant) {
  std::vector<Key> keys;
  for (auto block = blocks_.begin(); block != blocks_.end();) {
    if (block->second.terms.tenant != tenant) {
      ++block;
      continue;
    }
    keys.push_back(block->first);
    block = erase(block);
  }
  return keys;
}

std::uint64_t TierIndex::blocks_of(const TenantMark& tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? 0 : found->second;
}

}  // namespace headwater::cache
