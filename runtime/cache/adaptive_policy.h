#pragma once
// Keeps what is expected to be used again soonest, as far as this cache's own past tells.
//
// Blocks are told apart by how often they were used, how many blocks hang below them, and how long they waited for
// their last use. How soon blocks of each kind are used again is learnt from cached blocks and from ghosts, the blocks
// given up lately (ReuseModel); what is learnt fades. The worth of a block follows from its kind and its age, times
// what it costs to compute again. Uses that come close together are one use: a burst proves nothing.
//
// Blocks of a chain that were used by the same requests have one past. So when they are given up, last first, nothing
// is remembered of them but that they were there, by the block before them (BlockRun), and a ghost is left only where
// that one has another past. A ghost is most of a request then, not a block. Of ghosts that make room for others, a
// sample stays far longer: what is given up at once would never be seen to return late.
//
// Whatever is asked for, it never hits much less than LRU would (LruGuard): blocks that LRU holds are given up only on
// hits that were gained before. Threading: one caller at a time.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/eviction_policy.h"
#include "cache/ghost_table.h"
#include "cache/lru_guard.h"
#include "cache/reuse_model.h"

namespace headwater::cache {

class AdaptivePolicy : public EvictionPolicy {
 public:
  explicit AdaptivePolicy(std::uint32_t total_blocks);

  void on_published(const Touch& touch, TimeNs now) override;
  void on_busy(BlockId block, TimeNs now) override;
  void on_idle(BlockId block, TimeNs now) override;
  void on_forgotten(BlockId block) override;
  void reset() override;

  std::uint32_t queues() const override;
  Place place(BlockId block) const override;
  double worth(BlockId block) const override;
  std::uint32_t liberties() const override;
  bool is_liberty(BlockId block) const override { return at(block).in_lru; }
  double safe_worth(BlockId block) const override;

 private:
  /// What is known of an indexed block. 24 bytes; with 5/3 ghosts of 24 and LRU's 24, a block's state is 88.
  struct Known {
    std::uint64_t last_used : 48 = 0;  ///< by clock_; 0: not yet
    std::uint64_t depth : 16 = 0;      ///< saturates
    std::uint32_t key = 0;             ///< its low half
    BlockId parent = -1;
    BlockRun after{};             ///< given up before it, of the same past
    std::uint8_t kind = 0;        ///< as of its last use
    std::uint8_t uses : 4 = 0;    ///< saturates
    std::uint8_t height : 2 = 0;  ///< blocks that ever hung below it, one below the other, up to kMostHeight
    std::uint8_t idle : 1 = 0;
    std::uint8_t in_lru : 1 = 0;  ///< LRU would hold it, too
  };

  Known& at(BlockId block) { return known_[static_cast<std::size_t>(block)]; }
  const Known& at(BlockId block) const { return known_[static_cast<std::size_t>(block)]; }
  std::uint64_t age(std::uint64_t last_used) const { return clock_ - last_used; }
  std::uint8_t kind_of(const Known& known, std::uint32_t wait) const;
  std::uint32_t wait_of(std::uint64_t age) const;

  void recognise(Known& known);
  Known* same_past(const Known& known);
  void leave_ghost(const Known& known, std::size_t slot);
  std::optional<std::size_t> find_ghost(std::uint64_t key) const;
  const Ghost* ghost_at(std::size_t slot) const;
  void end_ghost(std::size_t slot);
  bool is_old(std::size_t slot) const { return slot >= known_.size() + ghosts_.size(); }
  std::uint64_t last_used_of(const Ghost& ghost) const;

  // What the model is told of how long blocks waited. Slots: blocks come first, ghosts follow, then old ghosts.
  std::uint64_t told_until(std::size_t slot, std::uint64_t last_used) const;
  void tell_now(std::size_t slot, std::uint8_t kind, std::uint64_t last_used, const BlockRun& after);
  void move_told(std::uint8_t kind, std::uint64_t last_used, const BlockRun& after, std::size_t from_slot,
                 std::size_t to_slot);
  void tell_chunk(std::size_t chunk);
  void learn();

  std::uint64_t clock_ = 0;  ///< uses of blocks
  std::uint32_t burst_;      ///< uses that are closer are one
  std::vector<Known> known_;
  GhostTable ghosts_;
  GhostTable old_ghosts_;  ///< a sample of those that made room for others
  ReuseModel model_;
  LruGuard guard_;

  std::vector<std::uint64_t> told_;  ///< when the model was told of each chunk of slots
  std::size_t next_chunk_ = 0;
  std::uint64_t learnt_ = 0, learn_at_ = 0;
};

}  // namespace headwater::cache
