#pragma once
// Says when a policy had better do as LRU does: at first, and where LRU would have hit more than the policy does. Then
// LRU is preferred for a while, and for twice as long each time.

#include <cstdint>

#include "cache/lru_shadow.h"

namespace headwater::cache {

/// Times count uses of blocks, from 1 on, and never go back.
class LruGuard {
 public:
  /// `capacity`: blocks of the cache. Until so many blocks were used as fill it two and a half times, LRU is preferred:
  /// there is little to learn from.
  explicit LruGuard(std::uint32_t capacity);

  /// A block that was last used at `last_used` is wanted; `cached`: it is still there.
  void wanted(std::uint64_t last_used, bool cached);
  /// A block is used `now`, the last time at `before` (0: never, or forgotten).
  void used(std::uint64_t before, std::uint64_t now) { shadow_.use(before, now); }

  /// Weighs what was counted since the last call. REQUIRES: called now and then.
  void decide(std::uint64_t now);
  bool prefers_lru(std::uint64_t now) const { return now < lru_until_; }

 private:
  LruShadow shadow_;
  double ahead_ = 0;                ///< hits by which LRU is ahead, since the last decision
  double sum_ = 0, squares_ = 0;    ///< of that, over past decisions; fades
  std::uint64_t lru_until_, stay_;  ///< stay_: for how long the next time
};

}  // namespace headwater::cache
