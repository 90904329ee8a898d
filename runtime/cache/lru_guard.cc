#include "cache/lru_guard.h"

#include <cmath>
#include <utility>

namespace headwater::cache {
namespace {

constexpr double kDoubt = 1.25;  // standard deviations
constexpr double kFade = 1 - 1.0 / 256;

}  // namespace

LruGuard::LruGuard(std::uint32_t capacity)
    : shadow_(capacity), lru_until_(5 * std::uint64_t{capacity} / 2), stay_(4 * std::uint64_t{capacity}) {}

void LruGuard::wanted(std::uint64_t last_used, bool cached) {
  if (shadow_.holds(last_used)) ahead_ += 1;
  if (cached) ahead_ -= 1;
}

// The lead between decisions is taken for the step of a random walk, whose spread shows in the steps themselves: blocks
// of a chain are hit together, so their number would not tell it.
void LruGuard::decide(std::uint64_t now) {
  const double step = std::exchange(ahead_, 0);
  if (prefers_lru(now)) {
    sum_ = squares_ = 0;
    return;
  }
  sum_ = sum_ * kFade + step;
  squares_ = squares_ * kFade + step * step;
  if (sum_ > kDoubt * std::sqrt(squares_)) {
    lru_until_ = now + stay_;
    stay_ *= 2;
  }
}

}  // namespace headwater::cache
