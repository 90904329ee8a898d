#include "cache/adaptive_policy.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace headwater::cache {
namespace {

constexpr std::uint32_t kMostUses[] = {1, 2, 4, 7, 12};  // of each class of uses; those of the last are not bounded
constexpr std::uint32_t kClasses = 2 * (std::size(kMostUses) + 1);

constexpr std::uint64_t kSampling = 16;      // of so many keys one leaves a ghost and is compared with LRU
constexpr std::size_t kChunk = 64;           // slots of which the model is told together
constexpr std::uint64_t kUsesPerChunk = 11;  // so all are told of in about half the uses that LRU outlives
constexpr double kHalfLife = 16;             // of what is learnt, in uses of as many blocks as there are
constexpr double kLeastHalfLife = 20000;     // in uses
constexpr double kBlocksOfEqualCost = 1024;  // the depth at which attention over what lies before doubles the cost

}  // namespace

AdaptivePolicy::AdaptivePolicy(std::uint32_t total_blocks)
    : burst_(total_blocks / 32),
      known_(total_blocks),
      uses_(total_blocks),
      ghosts_(std::size_t{total_blocks} * 3 / 5),
      model_(kClasses, total_blocks),
      told_((total_blocks + ghosts_.size() - 1) / kChunk + 1),
      lru_(std::max<std::uint32_t>(total_blocks / kSampling, 1)),
      penalty_(4 * std::uint64_t{total_blocks}) {
  static_assert(sizeof(Known) <= 24);
}

std::uint32_t AdaptivePolicy::queues() const { return kClasses; }

EvictionPolicy::Place AdaptivePolicy::place(BlockId block) const {
  return {at(block).block_class, {static_cast<std::int64_t>(at(block).last_used), 0}};
}

double AdaptivePolicy::worth(BlockId block) const {
  const Known& known = at(block);
  if (clock_ < as_lru_until_) return static_cast<double>(known.last_used);
  return model_.worth(known.block_class, age(known.last_used)) * (1 + known.depth / kBlocksOfEqualCost);
}

std::uint8_t AdaptivePolicy::class_of(const Known& known) const {
  const auto uses =
      std::lower_bound(std::begin(kMostUses), std::end(kMostUses), uses_.estimate(known.key)) - std::begin(kMostUses);
  return static_cast<std::uint8_t>(2 * uses + (known.had_child ? 1 : 0));
}

void AdaptivePolicy::on_published(const Touch& touch, schedule::TimeNs) {
  Known known{};
  known.key = touch.key;
  known.depth = static_cast<std::uint16_t>(std::min<std::uint32_t>(touch.depth, UINT16_MAX));
  if (const auto slot = ghosts_.find(touch.key)) {
    const Ghost& ghost = *ghosts_.at(*slot);
    known.last_used = last_used_of(ghost);
    known.block_class = ghost.label;
    count_use(known, false);
    end_ghost(*slot);
  }
  at(touch.block) = known;
  if (touch.parent >= 0) at(touch.parent).had_child = true;  // takes effect when it is idle again
}

void AdaptivePolicy::on_busy(BlockId block, schedule::TimeNs) {
  Known& known = at(block);
  tell_now(static_cast<std::size_t>(block), known.block_class, known.last_used);
  count_use(known, true);
  known.idle = false;
}

void AdaptivePolicy::on_idle(BlockId block, schedule::TimeNs) {
  Known& known = at(block);
  ++clock_;
  if (sampled(known.key)) lru_.use(known.last_used, clock_);
  const bool burst = known.last_used > 0 && age(known.last_used) <= burst_;
  if (!burst) uses_.add(known.key);
  known.last_used = clock_;
  known.block_class = class_of(known);
  known.idle = true;
  if (clock_ % kUsesPerChunk == 0) {
    tell_chunk(next_chunk_);
    next_chunk_ = (next_chunk_ + 1) % told_.size();
  }
  if (clock_ >= learn_at_) learn();
}

void AdaptivePolicy::on_forgotten(BlockId block) {
  Known& known = at(block);
  if (known.idle && sampled(known.key)) {
    end_ghost(ghosts_.next());
    const std::uint64_t told = told_until(static_cast<std::size_t>(block), known.last_used);
    const std::uint64_t told_of_ghost = told_until(known_.size() + ghosts_.next(), known.last_used);
    model_.watched(known.block_class, told - known.last_used, told_of_ghost - known.last_used);
    ghosts_.put(known.key, {static_cast<std::uint32_t>(known.last_used), known.block_class});
  } else if (known.idle) {
    tell_now(static_cast<std::size_t>(block), known.block_class, known.last_used);
  }
  known = {};
}

bool AdaptivePolicy::sampled(std::uint64_t key) { return (key * 0x9E3779B97F4A7C15U) >> 60 == 0; }

void AdaptivePolicy::count_use(const Known& known, bool cached) {
  model_.reused(known.block_class, age(known.last_used));
  if (!sampled(known.key)) return;
  if (cached) own_hits_ += 1;
  if (lru_.holds(known.last_used)) lru_hits_ += 1;
}

std::uint64_t AdaptivePolicy::told_until(std::size_t slot, std::uint64_t last_used) const {
  return std::max(last_used, told_[slot / kChunk]);
}

void AdaptivePolicy::tell_now(std::size_t slot, std::uint8_t block_class, std::uint64_t last_used) {
  model_.watched(block_class, told_until(slot, last_used) - last_used, age(last_used));
}

void AdaptivePolicy::tell_chunk(std::size_t chunk) {
  const std::size_t end = std::min((chunk + 1) * kChunk, known_.size() + ghosts_.size());
  for (std::size_t slot = chunk * kChunk; slot < end; ++slot) {
    if (slot < known_.size()) {
      if (known_[slot].idle) tell_now(slot, known_[slot].block_class, known_[slot].last_used);
    } else if (const Ghost* ghost = ghosts_.at(slot - known_.size())) {
      tell_now(slot, ghost->label, last_used_of(*ghost));
    }
  }
  told_[chunk] = clock_;
}

std::uint64_t AdaptivePolicy::last_used_of(const Ghost& ghost) const {
  return clock_ - (static_cast<std::uint32_t>(clock_) - ghost.last_used);
}

void AdaptivePolicy::end_ghost(std::size_t slot) {
  const Ghost* ghost = ghosts_.at(slot);
  if (ghost == nullptr) return;
  tell_now(known_.size() + slot, ghost->label, last_used_of(*ghost));
  ghosts_.erase(slot);
}

void AdaptivePolicy::learn() {
  const std::uint64_t passed = clock_ - learnt_;
  const double half_life = std::max(kHalfLife * static_cast<double>(known_.size()), kLeastHalfLife);
  model_.learn(std::exp2(-static_cast<double>(passed) / half_life));
  learnt_ = clock_;
  learn_at_ = clock_ + std::max<std::uint64_t>(known_.size() / 8, 16);
  compare_with_lru();
}

void AdaptivePolicy::compare_with_lru() {
  if (clock_ < as_lru_until_) {
    own_hits_ = lru_hits_ = 0;
    return;
  }
  const double doubt = 3 * std::sqrt(lru_hits_ + 1);
  if (lru_hits_ > own_hits_ * 1.005 + doubt) {
    as_lru_until_ = clock_ + penalty_;
    penalty_ *= 2;
  }
}

void AdaptivePolicy::reset() { *this = AdaptivePolicy(static_cast<std::uint32_t>(known_.size())); }

}  // namespace headwater::cache
