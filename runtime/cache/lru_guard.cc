#include "cache/lru_guard.h"

#include <algorithm>

namespace headwater::cache {

LruGuard::LruGuard(std::uint32_t capacity) : shadow_(capacity), capacity_(capacity), savings_(kAdvance * capacity) {}

void LruGuard::missed(std::uint32_t key, BlockId block) {
  if (shadow_.regain(key, block)) save(kShare - 1);
}

void LruGuard::save(double hits) { savings_ = std::min(savings_ + hits, capacity_); }

std::uint32_t LruGuard::liberties() const {
  const double credit = std::min(kCreditPerHit * savings_, kCredit * capacity_);
  return static_cast<std::uint32_t>(std::max(savings_ + credit - shadow_.lacking(), 0.0));
}

}  // namespace headwater::cache
