#include "schedule/pool_forecast.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace headwater::schedule {
namespace {

constexpr std::size_t kMostTimes = 64;
/// Standard deviations that are kept free above what is expected. The more, the fewer preemptions are left; but where
/// the pool holds few sequences, fewer run than could: tests/schedule/admission_test.cc holds both.
constexpr double kCaution = 0.7;

/// In bytes where layers have a window, in blocks elsewhere.
class Demand {
 public:
  explicit Demand(const PoolShape& pool) : pool_(pool), windowed_(pool.window.tokens > 0) {}

  double limit() const { return static_cast<double>(windowed_ ? pool_.window.pool_bytes : pool_.total_blocks); }

  /// What the sequence takes in the step that computes its token `tokens` - 1.
  double of(const Stay& stay, std::uint32_t tokens, bool prefill) const {
    tokens = std::min(tokens, stay.most_tokens);
    const std::uint32_t blocks = std::max(pool_.grid.covering(tokens), stay.blocks);
    const double own = blocks - stay.shared;
    if (!windowed_) return own;
    const std::uint32_t behind = std::min(tokens, prefill ? pool_.prefill_chunk : 1U);
    const std::uint32_t seen =
        blocks - std::min(blocks, cache::first_in_window(tokens - behind, pool_.window.tokens, pool_.grid));
    return own * static_cast<double>(pool_.window.full_bytes) + seen * static_cast<double>(pool_.window.window_bytes);
  }

 private:
  const PoolShape& pool_;
  bool windowed_;
};

/// Steps from now at which sequences likely end, in ascending order.
std::vector<std::uint32_t> times_of(std::span<const Stay> stays) {
  std::vector<std::uint32_t> times;
  for (const Stay& stay : stays) {
    const auto add = [&](double tokens) {
      times.push_back(stay.delay + static_cast<std::uint32_t>(std::ceil(std::max(tokens, 1.0))));
    };
    add(stay.rest.quantile(1));
    if (stay.rest.is_certain()) continue;
    for (const double share : {0.25, 0.5, 0.75, 0.9}) add(stay.rest.quantile(share));
  }
  std::ranges::sort(times);
  times.erase(std::ranges::unique(times).begin(), times.end());
  if (times.size() <= kMostTimes) return times;
  std::vector<std::uint32_t> some(kMostTimes);
  for (std::size_t i = 0; i < kMostTimes; ++i) some[i] = times[(i + 1) * times.size() / kMostTimes - 1];
  return some;
}

}  // namespace

bool room_lasts(std::span<const Stay> stays, const PoolShape& pool) {
  const Demand demand(pool);
  std::uint32_t before = 0;
  for (const std::uint32_t time : times_of(stays)) {
    // Whoever is there after the step `before` grows until `time`, in which it may end.
    double expected = 0, variance = 0, most = 0;
    for (const Stay& stay : stays) {
      const double there = before <= stay.delay ? 1 : stay.rest.outlasts(before - stay.delay);
      if (there == 0) continue;
      const bool prefill = time <= stay.delay;
      const std::uint32_t generated = prefill ? 0 : time - stay.delay - 1;
      const double takes = demand.of(stay, stay.tokens + generated, prefill);
      expected += there * takes;
      variance += there * (1 - there) * takes * takes;
      most += takes;
    }
    if (std::min(expected + kCaution * std::sqrt(variance), most) > demand.limit()) return false;
    before = time;
  }
  return true;
}

bool room_for_the_longest(std::span<const Stay> stays, const PoolShape& pool) {
  const Demand demand(pool);
  double most = 0;
  for (const Stay& stay : stays) most += demand.of(stay, stay.most_tokens, true);
  return most <= demand.limit();
}

}  // namespace headwater::schedule
