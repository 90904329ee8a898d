#pragma once
// Keeps a policy from ever hitting much less than LRU would. It is a law, not a guess: for any requests whatsoever, and
// at any moment,
//
//   hits >= (1 - kShare) * LRU's hits - (kAdvance + kCredit) * capacity.
//
// What LRU would hold is known block for block (LruShadow). A block that LRU holds and the cache lacks can cost one
// hit: once it was missed, it is back. So what is lacking is all that can be lost from now on, if nothing more is given
// up. The guard counts savings: the hits by which the policy is ahead, and what it may fall behind. It lets the policy
// give up a block that LRU holds (a liberty) only where savings, and the credit that they are worth, cover all that
// would be lacking. There is always another block to give up: of two caches of one size, if one lacks something that
// the other has, it has something that the other lacks; and LRU's own order names what LRU gives up next.
//
// Credit is a multiple of the savings. So a policy that proves itself is soon free, and one that slowly falls behind is
// bound when the advance is spent. Savings are bounded by the capacity, which pays for any liberty: a lead of long ago
// is not gambled away. Threading: one caller at a time.

#include <cstdint>
#include <optional>

#include "cache/lru_shadow.h"

namespace headwater::cache {

class LruGuard {
 public:
  static constexpr double kShare = 0.005;     ///< of LRU's hits
  static constexpr double kAdvance = 0.0125;  ///< of the capacity: for a beginning
  static constexpr double kCredit = 0.125;    ///< of the capacity, at most
  static constexpr double kCreditPerHit = 9;

  explicit LruGuard(std::uint32_t capacity);

  /// A block of the cache is wanted. `lru_holds`: LRU would hold it, too.
  void hit(bool lru_holds) { save(lru_holds ? kShare : 1); }
  /// A key is wanted that the cache did not have; it is in this block from now on.
  void missed(std::uint32_t key, BlockId block);
  /// A key is used. Returns the block of what LRU gives up for it, if the cache has that.
  std::optional<BlockId> used(std::uint32_t key, BlockId block) { return shadow_.use(key, block); }
  /// The cache gives up a block.
  void gave_up(std::uint32_t key, BlockId block) { shadow_.lose(key, block); }

  /// How many blocks that LRU holds may be given up now, beside those that come next in its own order.
  std::uint32_t liberties() const;

 private:
  void save(double hits);

  LruShadow shadow_;
  double capacity_;
  double savings_;  ///< hits
};

}  // namespace headwater::cache
