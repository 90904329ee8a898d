#pragma once
// What a tier holds, as far as is known: in the order in which it was saved, whose it is, and until when.

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "cache/expiry_queue.h"
#include "cache/tier_block.h"

namespace headwater::cache {

class TierIndex {
 public:
  /// The latest of all now.
  void put(const TierEntry& entry);
  void erase(const Key& key);
  void clear();

  bool contains(const Key& key) const { return blocks_.contains(key); }
  std::size_t size() const { return blocks_.size(); }
  /// Half of the others were saved after it. REQUIRES: contains(key).
  bool old(const Key& key) const { return puts_ - blocks_.at(key).number > blocks_.size() / 2; }

  /// It was used again, and so expires then, if that is later. REQUIRES: contains(key).
  void prolong(const Key& key, TimeNs expires);
  /// Forgets what has expired, and gives it.
  std::vector<Key> take_expired(TimeNs now);
  TimeNs next_expiry() const { return expiries_.empty() ? kNever : expiries_.begin()->first; }

  /// Forgets what a tenant has, and gives it.
  std::vector<Key> take(const TenantMark& tenant);
  /// Blocks by tenant; those that have none are not in it.
  const std::map<TenantMark, std::uint64_t>& tenants() const { return tenants_; }
  std::uint64_t blocks_of(const TenantMark& tenant) const;

 private:
  struct Block {
    std::uint64_t number = 0;  ///< counted in puts
    TierTerms terms{};
  };
  using Blocks = std::unordered_map<Key, Block, KeyHash>;

  Blocks::iterator erase(Blocks::iterator block);

  Blocks blocks_;
  std::uint64_t puts_ = 0;
  std::set<std::pair<TimeNs, Key>> expiries_;  ///< of those that do expire
  std::map<TenantMark, std::uint64_t> tenants_;
};

}  // namespace headwater::cache
