#include "cache/policy_curve.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "cache/eviction_policy.h"

namespace headwater::cache {

PolicyCurve::PolicyCurve(std::string_view policy, std::uint32_t capacity, std::uint32_t most_blocks)
    : sample_(static_cast<double>(most_blocks) / std::max(capacity, 1U)), window_(MissCurve::window(capacity)) {
  for (const double factor : MissCurve::kFactors) {
    const auto blocks = static_cast<std::uint32_t>(std::max(std::round(factor * sample_.rate() * capacity), 1.0));
    caches_.emplace_back(make_policy(policy, blocks).value(), blocks);
  }
}

void PolicyCurve::look_up(std::span<const std::uint64_t> keys) {
  looked_up_ += keys.size();
  std::vector<std::uint64_t> sample;
  std::ranges::copy_if(keys, std::back_inserter(sample), [this](std::uint64_t key) { return sample_.has(key); });
  sampled_ += sample.size();
  for (std::size_t i = 0; i < caches_.size(); ++i) hits_[i] += caches_[i].serve(sample);
  if (looked_up_ < 2 * window_) return;
  looked_up_ /= 2;
  sampled_ /= 2;
  for (std::uint64_t& hits : hits_) hits /= 2;
}

void PolicyCurve::fill(std::uint64_t parent, std::uint64_t key) {
  if (!sample_.has(key)) return;
  for (MiniatureCache& cache : caches_) cache.fill(parent, key);
}

double PolicyCurve::hit_rate(std::size_t i) const {
  return sample_.share(static_cast<double>(hits_[i]), static_cast<double>(sampled_), static_cast<double>(looked_up_));
}

}  // namespace headwater::cache
