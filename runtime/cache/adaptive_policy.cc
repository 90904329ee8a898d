#include "cache/adaptive_policy.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace headwater::cache {
namespace {

constexpr std::uint8_t kMostUses[] = {1, 2, 4, 7, 12};  // of each class of uses; those of the last are not bounded
constexpr std::uint8_t kUsesSaturate = 15;
constexpr std::uint8_t kMostHeight = 2;
constexpr std::uint32_t kClasses = (std::size(kMostUses) + 1) * (kMostHeight + 1);

constexpr double kLongestWaits[] = {0.25, 0.7, 2, 5.7, 16};  // of each trait, in uses of as many blocks as there are
constexpr std::uint32_t kTraits = std::size(kLongestWaits) + 2;  // the first one: used once

constexpr std::uint32_t kSampling = 8;       // of so many keys, one has a ghost that grows old
constexpr std::size_t kChunk = 64;           // slots of which the model is told together
constexpr std::uint64_t kUsesPerChunk = 11;  // so all are told of in about half the uses that LRU outlives
constexpr double kHalfLife = 16;             // of what is learnt, in uses of as many blocks as there are
constexpr double kLeastHalfLife = 20000;     // in uses
constexpr double kBlocksOfEqualCost = 4096;  // the depth at which attention over what lies before doubles the cost
constexpr double kLeastUses = 2.5;           // of as many blocks as there are, before anything is known
constexpr double kMostWorth = 1e6;           // above any: hits a reference, times the cost

}  // namespace

AdaptivePolicy::AdaptivePolicy(std::uint32_t total_blocks)
    : burst_(total_blocks / 128),
      known_(total_blocks),
      ghosts_(std::size_t{total_blocks} * 4 / 3),
      old_ghosts_(total_blocks / 3),
      model_(kClasses, kTraits, total_blocks),
      guard_(total_blocks),
      told_((total_blocks + ghosts_.size() + old_ghosts_.size() - 1) / kChunk + 1) {
  static_assert(sizeof(Known) <= 24);
  static_assert(kClasses * kTraits <= 256);
}

std::uint32_t AdaptivePolicy::queues() const { return kClasses * kTraits; }

EvictionPolicy::Place AdaptivePolicy::place(BlockId block) const {
  return {at(block).kind, {static_cast<std::int64_t>(at(block).last_used), 0}};
}

double AdaptivePolicy::worth(BlockId block) const {
  const Known& known = at(block);
  return model_.worth(known.kind, age(known.last_used)) * (1 + known.depth / kBlocksOfEqualCost);
}

std::uint32_t AdaptivePolicy::liberties() const {
  const bool learnt_enough = static_cast<double>(clock_) >= kLeastUses * static_cast<double>(known_.size());
  return learnt_enough ? guard_.liberties() : 0;
}

/// What LRU does not hold comes first, in the policy's own order; then the rest in LRU's.
double AdaptivePolicy::safe_worth(BlockId block) const {
  return is_liberty(block) ? kMostWorth + static_cast<double>(at(block).last_used) : worth(block);
}

std::uint8_t AdaptivePolicy::kind_of(const Known& known, std::uint32_t wait) const {
  const auto uses = std::lower_bound(std::begin(kMostUses), std::end(kMostUses), known.uses) - std::begin(kMostUses);
  return static_cast<std::uint8_t>((uses * (kMostHeight + 1) + known.height) * kTraits + wait);
}

std::uint32_t AdaptivePolicy::wait_of(std::uint64_t age) const {
  const double share = static_cast<double>(age) / static_cast<double>(known_.size());
  const auto wait = std::lower_bound(std::begin(kLongestWaits), std::end(kLongestWaits), share);
  return 1 + static_cast<std::uint32_t>(wait - std::begin(kLongestWaits));
}

void AdaptivePolicy::on_published(const Touch& touch, TimeNs) {
  Known known{};
  known.depth = std::min<std::uint32_t>(touch.depth, UINT16_MAX);
  known.key = static_cast<std::uint32_t>(touch.key);
  known.parent = touch.parent;
  recognise(known);
  at(touch.block) = known;
  guard_.missed(known.key, touch.block);
  BlockId above = touch.parent;  // taller from now on, which takes effect when they are idle again
  for (std::uint8_t height = 1; height <= kMostHeight && above >= 0; ++height, above = at(above).parent) {
    at(above).height = std::max<std::uint8_t>(at(above).height, height);
  }
}

/// Gives a block that returns its past.
void AdaptivePolicy::recognise(Known& known) {
  if (const auto slot = find_ghost(known.key)) {
    const Ghost& ghost = *ghost_at(*slot);
    known.last_used = last_used_of(ghost);
    known.kind = ghost.label;
    known.uses = ghost.uses & 15U;
    known.after = ghost.after;
    end_ghost(*slot);
  } else if (known.parent >= 0 && at(known.parent).after.begins_with(known.key)) {
    Known& parent = at(known.parent);
    known.last_used = parent.last_used - 1;
    known.kind = parent.kind;
    known.uses = parent.uses;
    known.after = parent.after.rest();
    parent.after = {};
  } else {
    return;
  }
  model_.reused(known.kind, age(known.last_used));
}

void AdaptivePolicy::on_busy(BlockId block, TimeNs) {
  Known& known = at(block);
  tell_now(static_cast<std::size_t>(block), known.kind, known.last_used, known.after);
  model_.reused(known.kind, age(known.last_used));
  guard_.hit(known.in_lru);
  known.idle = 0;
}

void AdaptivePolicy::on_idle(BlockId block, TimeNs) {
  Known& known = at(block);
  ++clock_;
  if (const auto older = guard_.used(known.key, block)) at(*older).in_lru = 0;
  known.in_lru = 1;
  std::uint32_t wait = known.kind % kTraits;
  if (known.last_used == 0 || age(known.last_used) > burst_) {
    if (known.last_used > 0) wait = wait_of(age(known.last_used));
    known.uses = std::min<std::uint8_t>(known.uses + 1, kUsesSaturate) & 15U;
  }
  known.kind = kind_of(known, wait);
  known.last_used = clock_ & 0xFFFF'FFFF'FFFFU;
  known.after = {};
  known.idle = 1;
  if (clock_ % kUsesPerChunk == 0) {
    tell_chunk(next_chunk_);
    next_chunk_ = (next_chunk_ + 1) % told_.size();
  }
  if (clock_ >= learn_at_) learn();
}

void AdaptivePolicy::on_forgotten(BlockId block) {
  const Known known = at(block);
  at(block) = {};
  guard_.gave_up(known.key, block);
  if (!known.idle) return;
  const auto slot = static_cast<std::size_t>(block);
  if (Known* parent = same_past(known)) {
    move_told(known.kind, known.last_used, known.after, slot, static_cast<std::size_t>(known.parent));
    parent->after = known.after;
    parent->after.prepend(known.key);
  } else {
    leave_ghost(known, slot);
  }
}

/// The block before, if the same requests used it.
AdaptivePolicy::Known* AdaptivePolicy::same_past(const Known& known) {
  if (known.parent < 0) return nullptr;
  Known& parent = at(known.parent);
  const bool same = parent.idle && parent.last_used == known.last_used + 1 && parent.kind == known.kind &&
                    parent.uses == known.uses && parent.after.blocks() == 0 && !known.after.full();
  return same ? &parent : nullptr;
}

void AdaptivePolicy::leave_ghost(const Known& known, std::size_t slot) {
  const std::size_t next = known_.size() + ghosts_.next();
  if (const Ghost* former = ghost_at(next); former != nullptr && ghosts_.key(ghosts_.next()) % kSampling == 0) {
    const std::size_t old = known_.size() + ghosts_.size() + old_ghosts_.next();
    end_ghost(old);
    move_told(former->label, last_used_of(*former), former->after, next, old);
    old_ghosts_.put(ghosts_.key(ghosts_.next()), *former);
    ghosts_.erase(ghosts_.next());
  }
  end_ghost(next);
  move_told(known.kind, known.last_used, known.after, slot, next);
  ghosts_.put(known.key, {.last_used = static_cast<std::uint32_t>(known.last_used),
                          .label = known.kind,
                          .uses = known.uses,
                          .after = known.after});
}

/// The slot of the key's ghost.
std::optional<std::size_t> AdaptivePolicy::find_ghost(std::uint64_t key) const {
  if (const auto slot = ghosts_.find(key)) return known_.size() + *slot;
  if (const auto slot = old_ghosts_.find(key)) return known_.size() + ghosts_.size() + *slot;
  return std::nullopt;
}

const Ghost* AdaptivePolicy::ghost_at(std::size_t slot) const {
  const std::size_t ghost = slot - known_.size();
  return is_old(slot) ? old_ghosts_.at(ghost - ghosts_.size()) : ghosts_.at(ghost);
}

void AdaptivePolicy::end_ghost(std::size_t slot) {
  const Ghost* ghost = ghost_at(slot);
  if (ghost == nullptr) return;
  tell_now(slot, ghost->label, last_used_of(*ghost), ghost->after);
  const std::size_t place = slot - known_.size();
  is_old(slot) ? old_ghosts_.erase(place - ghosts_.size()) : ghosts_.erase(place);
}

std::uint64_t AdaptivePolicy::last_used_of(const Ghost& ghost) const {
  return clock_ - (static_cast<std::uint32_t>(clock_) - ghost.last_used);
}

std::uint64_t AdaptivePolicy::told_until(std::size_t slot, std::uint64_t last_used) const {
  return std::max(last_used, told_[slot / kChunk]);
}

void AdaptivePolicy::tell_now(std::size_t slot, std::uint8_t kind, std::uint64_t last_used, const BlockRun& after) {
  model_.watched(kind, told_until(slot, last_used) - last_used, age(last_used), 1 + after.blocks());
}

/// A block will be told of as what is in another slot, which the model was told of at another time.
void AdaptivePolicy::move_told(std::uint8_t kind, std::uint64_t last_used, const BlockRun& after, std::size_t from_slot,
                               std::size_t to_slot) {
  model_.watched(kind, told_until(from_slot, last_used) - last_used, told_until(to_slot, last_used) - last_used,
                 1 + after.blocks());
}

void AdaptivePolicy::tell_chunk(std::size_t chunk) {
  const std::size_t slots = known_.size() + ghosts_.size() + old_ghosts_.size();
  const std::size_t end = std::min((chunk + 1) * kChunk, slots);
  for (std::size_t slot = chunk * kChunk; slot < end; ++slot) {
    if (slot < known_.size()) {
      const Known& known = known_[slot];
      if (known.idle) tell_now(slot, known.kind, known.last_used, known.after);
    } else if (const Ghost* ghost = ghost_at(slot)) {
      tell_now(slot, ghost->label, last_used_of(*ghost), ghost->after);
    }
  }
  told_[chunk] = clock_;
}

void AdaptivePolicy::learn() {
  const std::uint64_t passed = clock_ - learnt_;
  const double half_life = std::max(kHalfLife * static_cast<double>(known_.size()), kLeastHalfLife);
  model_.learn(std::exp2(-static_cast<double>(passed) / half_life));
  learnt_ = clock_;
  learn_at_ = clock_ + std::max<std::uint64_t>(known_.size() / 8, 16);
}

void AdaptivePolicy::reset() { *this = AdaptivePolicy(static_cast<std::uint32_t>(known_.size())); }

}  // namespace headwater::cache
