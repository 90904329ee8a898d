#include "cache/eviction.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "cache/leaf_queues.h"

namespace headwater::cache {
namespace {

/// A tenant that has used no block for longer has no share to keep from others.
constexpr TimeNs kActive = 300'000'000'000;

/// What the evictor knows of an indexed block.
struct Known {
  bool indexed = false;
  bool idle = false;
  bool pinned = false;
  std::uint8_t priority = 0;
  BlockId parent = -1;
  std::uint32_t depth = 0;
  std::uint32_t children = 0;
  TenantId tenant = 0;
};
static_assert(sizeof(Known) == 20);

}  // namespace

struct Evictor::Impl {
  struct Holding {
    LeafQueues leaves;
    std::uint32_t idle = 0;
  };

  std::unique_ptr<EvictionPolicy> policy;
  std::uint32_t tenant_quota;
  std::vector<Known> known;
  LeafQueues leaves;  ///< idle blocks without indexed children that are not pinned
  std::uint64_t idle = 0;
  // Where there is a quota, or more than one tenant:
  bool by_tenant = has_quota();
  std::unordered_map<TenantId, Holding> tenants;         ///< those that hold idle blocks
  std::set<std::pair<std::uint32_t, TenantId>> by_idle;  ///< the same, by how many
  std::unordered_map<TenantId, TimeNs> used;             ///< when each last used a block
  TimeNs latest = 0;

  Impl(std::unique_ptr<EvictionPolicy> given, std::uint32_t total_blocks, std::uint32_t quota)
      : policy(std::move(given)), tenant_quota(quota), known(total_blocks), leaves(policy->queues()) {}

  Known& at(BlockId block) { return known.at(static_cast<std::size_t>(block)); }
  const Known& at(BlockId block) const { return known.at(static_cast<std::size_t>(block)); }
  bool has_quota() const { return tenant_quota < known.size(); }
  /// Idle blocks that a tenant may hold before its own go first: an equal share where several are active.
  std::uint64_t most_idle() const {
    std::uint64_t active = 0;
    for (const auto& [tenant, last] : used) active += latest - last <= kActive ? 1 : 0;
    const std::uint64_t share = active > 1 ? known.size() / active : std::numeric_limits<std::uint64_t>::max();
    return std::min<std::uint64_t>(tenant_quota, share);
  }

  LeafQueues::Place place(BlockId block) const {
    const auto place = policy->place(block);
    return {at(block).priority, place.queue, {place.order, -std::int64_t{at(block).depth}, block}};
  }
  bool is_leaf(BlockId block) const {
    const Known& one = at(block);
    return one.indexed && one.idle && !one.pinned && one.children == 0;
  }

  void add_if_leaf(BlockId block) {
    if (block < 0 || !is_leaf(block)) return;
    leaves.insert(place(block));
    if (by_tenant) tenants.at(at(block).tenant).leaves.insert(place(block));
  }
  void remove(BlockId block) {
    if (block < 0 || !is_leaf(block)) return;
    leaves.erase(place(block));
    if (by_tenant) tenants.at(at(block).tenant).leaves.erase(place(block));
  }

  void set_idle(BlockId block, bool now_idle) {
    if (at(block).idle == now_idle) return;
    at(block).idle = now_idle;
    now_idle ? ++idle : --idle;
    if (by_tenant) count_idle(at(block).tenant, now_idle);
  }
  void count_idle(TenantId id, bool more) {
    Holding& tenant = tenants.try_emplace(id, Holding{LeafQueues(policy->queues())}).first->second;
    by_idle.erase({tenant.idle, id});
    more ? ++tenant.idle : --tenant.idle;
    if (tenant.idle > 0) {
      by_idle.insert({tenant.idle, id});
    } else {
      tenants.erase(id);
    }
  }

  void note_use(TenantId tenant, TimeNs now) {
    latest = std::max(latest, now);
    used[tenant] = now;
    if (by_tenant || used.size() < 2) return;
    by_tenant = true;
    for (std::size_t i = 0; i < known.size(); ++i) {
      const auto block = static_cast<BlockId>(i);
      if (known[i].idle) count_idle(known[i].tenant, true);
      if (is_leaf(block)) tenants.at(known[i].tenant).leaves.insert(place(block));
    }
  }

  void on_touch(const Touch& touch, TimeNs now) {
    const BlockId block = touch.block;
    if (touch.kind == Touch::Kind::published) note_use(touch.tenant, now);
    if (touch.kind == Touch::Kind::busy) note_use(at(block).tenant, now);
    remove(block);  // its place is about to change
    switch (touch.kind) {
      case Touch::Kind::published:
        remove(touch.parent);
        at(block) = {.indexed = true,
                     .priority = touch.priority,
                     .parent = touch.parent,
                     .depth = touch.depth,
                     .tenant = touch.tenant};
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
        break;
      case Touch::Kind::raised:
        at(block).priority = touch.priority;
        break;
      case Touch::Kind::pinned:
      case Touch::Kind::unpinned:
        at(block).pinned = touch.kind == Touch::Kind::pinned;
        break;
      case Touch::Kind::forgotten:
        forget(block);
        return;
    }
    add_if_leaf(block);
  }
  void forget(BlockId block) {
    const BlockId parent = at(block).parent;
    set_idle(block, false);
    at(block) = {};
    policy->on_forgotten(block);
    if (parent < 0) return;
    --at(parent).children;
    add_if_leaf(parent);
  }
};

/// The blocks that are chosen to be given up.
class Evictor::Choice {
 public:
  explicit Choice(const Impl& evictor)
      : evictor_(evictor), liberties_(evictor.policy->liberties()), all_(evictor.leaves, *evictor.policy, liberties_) {}

  std::vector<BlockId> choose(std::uint32_t n) && {
    const std::uint64_t most = evictor_.most_idle();
    std::set<std::pair<std::uint32_t, TenantId>> over(
        evictor_.by_idle.upper_bound({std::min<std::uint64_t>(most, kAny), std::numeric_limits<TenantId>::max()}),
        evictor_.by_idle.end());
    while (blocks_.size() < n && !over.empty()) {
      const auto [idle, tenant] = *over.rbegin();
      over.erase(std::prev(over.end()));
      const auto block = walk_of(tenant).next(taken_);
      if (!block) continue;  // all that is left is pinned, or before a block in use
      take(*block);
      if (idle - 1 > most) over.insert({idle - 1, tenant});
    }
    while (blocks_.size() < n) {
      const auto block = all_.next(taken_);
      if (!block) break;
      take(*block);
    }
    return std::move(blocks_);
  }

 private:
  static constexpr std::uint32_t kAny = std::numeric_limits<std::uint32_t>::max();

  LeafWalk& walk_of(TenantId tenant) {
    return tenants_.try_emplace(tenant, evictor_.tenants.at(tenant).leaves, *evictor_.policy, liberties_).first->second;
  }

  void take(BlockId block) {
    blocks_.push_back(block);
    taken_.insert(block);
    const BlockId parent = evictor_.at(block).parent;
    if (parent < 0 || !evictor_.at(parent).idle || evictor_.at(parent).pinned) return;
    if (++taken_children_[parent] < evictor_.at(parent).children) return;
    const auto place = evictor_.place(parent);
    all_.uncover(place);
    if (const auto walk = tenants_.find(evictor_.at(parent).tenant); walk != tenants_.end())
      walk->second.uncover(place);
  }

  const Impl& evictor_;
  std::uint32_t liberties_;  ///< that the policy has left
  std::vector<BlockId> blocks_;
  std::unordered_set<BlockId> taken_;
  std::unordered_map<BlockId, std::uint32_t> taken_children_;
  LeafWalk all_;
  std::unordered_map<TenantId, LeafWalk> tenants_;
};

Evictor::Evictor(std::unique_ptr<EvictionPolicy> policy, std::uint32_t total_blocks, std::uint32_t tenant_quota)
    : impl_(std::make_unique<Impl>(std::move(policy), total_blocks, tenant_quota)) {}
Evictor::~Evictor() = default;

void Evictor::on_touches(std::span<const Touch> touches, TimeNs now) {
  for (const Touch& touch : touches) impl_->on_touch(touch, now);
}

std::vector<BlockId> Evictor::victims(std::uint32_t n) const { return Choice(*impl_).choose(n); }

std::uint64_t Evictor::candidates() const { return impl_->idle; }

void Evictor::reset() {
  for (std::size_t i = 0; i < impl_->known.size(); ++i) {
    if (impl_->known[i].indexed) impl_->policy->on_forgotten(static_cast<BlockId>(i));
    impl_->known[i] = {};
  }
  impl_->policy->reset();
  impl_->leaves.clear();
  impl_->tenants.clear();
  impl_->by_idle.clear();
  impl_->used.clear();
  impl_->by_tenant = impl_->has_quota();
  impl_->latest = 0;
  impl_->idle = 0;
}

}  // namespace headwater::cache
