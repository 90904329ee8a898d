#pragma once
// Keeps what is expected to be used again soonest, as far as this cache's own past tells.
//
// Blocks are put into classes by how often they were used and by whether others hung below them. How soon blocks of
// each class are used again is learnt from cached blocks and from ghosts, the blocks given up lately (ReuseModel); what
// is learnt fades. The worth of a block follows from its class and its age, times what it costs to compute again. Uses
// that come close together are one use: a burst proves nothing.
//
// What LRU would have hit is counted beside it (LruShadow). Where the policy does worse, it does as LRU does for a
// while, and twice as long each time.

#include <cstdint>
#include <vector>

#include "cache/eviction_policy.h"
#include "cache/frequency_sketch.h"
#include "cache/ghost_table.h"
#include "cache/lru_shadow.h"
#include "cache/reuse_model.h"

namespace headwater::cache {

class AdaptivePolicy : public EvictionPolicy {
 public:
  explicit AdaptivePolicy(std::uint32_t total_blocks);

  void on_published(const Touch& touch, schedule::TimeNs now) override;
  void on_busy(BlockId block, schedule::TimeNs now) override;
  void on_idle(BlockId block, schedule::TimeNs now) override;
  void on_forgotten(BlockId block) override;
  void reset() override;

  std::uint32_t queues() const override;
  Place place(BlockId block) const override;
  double worth(BlockId block) const override;

 private:
  /// What is known of an indexed block. 24 bytes; with the sketch's 28 and 0.6 ghosts of 20, a block's state is 64.
  struct Known {
    std::uint64_t key = 0;
    std::uint64_t last_used = 0;  ///< by clock_; 0: not yet
    std::uint16_t depth = 0;      ///< saturates
    bool had_child = false;
    std::uint8_t block_class = 0;  ///< since it is idle
    bool idle = false;
  };

  Known& at(BlockId block) { return known_[static_cast<std::size_t>(block)]; }
  const Known& at(BlockId block) const { return known_[static_cast<std::size_t>(block)]; }

  std::uint8_t class_of(const Known& known) const;
  std::uint64_t age(std::uint64_t last_used) const { return clock_ - last_used; }

  static bool sampled(std::uint64_t key);
  void count_use(const Known& known, bool cached);
  /// Until when the model knows of a slot's block or ghost. Blocks come first, ghosts follow.
  std::uint64_t told_until(std::size_t slot, std::uint64_t last_used) const;
  void tell_now(std::size_t slot, std::uint8_t block_class, std::uint64_t last_used);
  void tell_chunk(std::size_t chunk);
  std::uint64_t last_used_of(const Ghost& ghost) const;
  void end_ghost(std::size_t slot);
  void learn();
  void compare_with_lru();

  std::uint64_t clock_ = 0;  ///< uses of blocks
  std::uint32_t burst_;      ///< uses that are closer are one
  std::vector<Known> known_;
  FrequencySketch uses_;
  GhostTable ghosts_;
  ReuseModel model_;

  std::vector<std::uint64_t> told_;  ///< when the model was told of each chunk of slots
  std::size_t next_chunk_ = 0;
  std::uint64_t learnt_ = 0, learn_at_ = 0;

  LruShadow lru_;
  double own_hits_ = 0, lru_hits_ = 0;
  std::uint64_t as_lru_until_ = 0;
  std::uint64_t penalty_;  ///< for how long the next time
};

}  // namespace headwater::cache
