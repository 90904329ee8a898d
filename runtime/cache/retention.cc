#include "cache/retention.h"

#include <algorithm>

namespace headwater::cache {

Retention::Retention(RetentionOptions options, std::uint32_t total_blocks)
    : options_(options), kept_(total_blocks), expiry_(total_blocks) {
  static_assert(sizeof(Kept) + 20 <= 64, "with its place in the queue, at most 64 bytes a block");
}

void Retention::add(BlockId block, BlockId parent, const Keep& keep) {
  Kept& kept = at(block);
  kept = {};
  kept.ttl = keep.ttl.value_or(options_.ttl);
  kept.parent = parent;
  kept.depth = parent < 0 ? 0 : at(parent).depth + 1;
  kept.tenant = tenants_.hold(keep.tenant);
  kept.priority = keep.priority;
}

bool Retention::use(BlockId block, const Keep& keep) {
  Kept& kept = at(block);
  kept.ttl = std::max(kept.ttl, keep.ttl.value_or(options_.ttl));
  if (keep.priority <= kept.priority) return false;
  kept.priority = keep.priority;
  return true;
}

/// REQUIRES: the block is idle.
void Retention::schedule_expiry(BlockId block) {
  const Kept& kept = at(block);
  const TimeNs deadline = expires(block);
  if (kept.pins > 0 || deadline == kNever) {
    expiry_.remove(block);
  } else {
    expiry_.set(block, deadline, kept.depth);
  }
}

void Retention::set_idle(BlockId block, TimeNs now) {
  at(block).idle = true;
  ++tenants_.at(at(block).tenant).cached;
  at(block).idle_since = now;
  schedule_expiry(block);
  // One that was used without those before it: they count as used with it.
  for (BlockId above = at(block).parent; above >= 0; above = at(above).parent) {
    Kept& kept = at(above);
    if (!kept.idle || kept.idle_since >= now) break;
    kept.idle_since = now;
    schedule_expiry(above);
  }
}

void Retention::set_busy(BlockId block) {
  at(block).idle = false;
  --tenants_.at(at(block).tenant).cached;
  expiry_.remove(block);
}

void Retention::remove(BlockId block) {
  Kept& kept = at(block);
  if (kept.idle) set_busy(block);
  tenants_.let_go(kept.tenant);
  kept = {};
}

void Retention::clear() {
  std::ranges::fill(kept_, Kept{});
  expiry_.clear();
  tenants_.clear();
  pins_.clear();
  pin_ends_.clear();
  pinned_ = 0;
}

std::optional<BlockId> Retention::expired(TimeNs now) const {
  if (expiry_.next_deadline() > now || expiry_.empty()) return std::nullopt;
  return expiry_.front();
}

TimeNs Retention::next_expiry() const {
  return pin_ends_.empty() ? expiry_.next_deadline() : std::min(expiry_.next_deadline(), pin_ends_.begin()->first);
}

// ---- pins ----

/// `leaf` and all before it, the first one first.
std::vector<BlockId> Retention::chain(BlockId leaf) const {
  std::vector<BlockId> blocks;
  for (BlockId block = leaf; block >= 0; block = at(block).parent) blocks.push_back(block);
  std::ranges::reverse(blocks);
  return blocks;
}

void Retention::add_pin(BlockId block) {
  Kept& kept = at(block);
  if (kept.pins++ > 0) return;
  ++pinned_;
  ++tenants_.at(kept.tenant).pinned;
  expiry_.remove(block);
}

void Retention::drop_pin(BlockId block) {
  Kept& kept = at(block);
  if (--kept.pins > 0) return;
  --pinned_;
  --tenants_.at(kept.tenant).pinned;
  if (kept.idle) schedule_expiry(block);
}

/// The blocks of the pin, which no longer counts; none: there is no such pin.
std::vector<BlockId> Retention::take_pin(const PinName& name) {
  const auto found = pins_.find(name);
  if (found == pins_.end()) return {};
  std::vector<BlockId> blocks = chain(found->second.leaf);
  pin_ends_.erase({found->second.until, name});
  pins_.erase(found);
  for (const BlockId block : blocks) drop_pin(block);
  return blocks;
}

std::uint32_t Retention::room(const Tenant& tenant) const {
  const std::uint64_t own = options_.tenant_quota - std::min<std::uint64_t>(options_.tenant_quota, tenant.pinned);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(own, options_.max_pinned - pinned_));
}

PinChange Retention::pin(const std::string& session, BlockId leaf, TimeNs until, bool by_request) {
  std::vector<BlockId> before;
  if (!session.empty()) before = take_pin({session, -1});
  std::vector<BlockId> blocks = chain(leaf);
  std::uint32_t left = blocks.empty() ? 0 : room(tenants_.at(at(leaf).tenant));
  blocks.erase(std::ranges::find_if(blocks, [&](BlockId block) { return !pinned(block) && left-- == 0; }),
               blocks.end());
  if (pins_.size() >= kept_.size()) blocks.clear();  // as many pins as there are blocks: names by the thousand

  PinChange change;
  std::ranges::sort(before);
  for (const BlockId block : blocks) {
    if (!pinned(block) && !std::ranges::binary_search(before, block)) change.pinned.push_back(block);
    add_pin(block);
  }
  if (!blocks.empty()) {
    const PinName name{session, session.empty() ? blocks.back() : -1};
    if (const auto known = pins_.find(name); known != pins_.end()) {
      until = std::max(until, known->second.until);
      by_request = by_request && known->second.by_request;
    }
    take_pin(name);
    pins_[name] = {blocks.back(), until, by_request};
    pin_ends_.emplace(until, name);
  }
  std::ranges::copy_if(before, std::back_inserter(change.unpinned), [&](BlockId block) { return !pinned(block); });
  return change;
}

PinChange Retention::end_pin(const PinName& name) {
  PinChange change;
  for (const BlockId block : take_pin(name)) {
    if (!pinned(block)) change.unpinned.push_back(block);
  }
  return change;
}

PinChange Retention::unpin(BlockId leaf) { return end_pin({"", leaf}); }
PinChange Retention::unpin_session(const std::string& session) { return end_pin({session, -1}); }

std::vector<BlockId> Retention::request_pins() const {
  std::vector<BlockId> leaves;
  for (const auto& [name, pin] : pins_) {
    if (name.first.empty() && pin.by_request) leaves.push_back(pin.leaf);
  }
  return leaves;
}

PinChange Retention::end_pins(TimeNs now) {
  PinChange change;
  while (!pin_ends_.empty() && pin_ends_.begin()->first <= now) {
    const PinName name = pin_ends_.begin()->second;
    const PinChange one = end_pin(name);
    change.unpinned.insert(change.unpinned.end(), one.unpinned.begin(), one.unpinned.end());
  }
  return change;
}

}  // namespace headwater::cache
