#include "cache/miss_curve.h"

#include <algorithm>
#include <cmath>

namespace headwater::cache {
namespace {

constexpr std::uint64_t kLeastWindow = 65536;  // blocks
constexpr std::uint64_t kWindowsPerBlock = 16;

}  // namespace

MissCurve::MissCurve(std::uint32_t capacity, std::size_t most_keys)
    : sample_(static_cast<double>(most_keys) / (kFactors.back() * std::max(capacity, 1U))),
      stack_(std::min(most_keys, static_cast<std::size_t>(kFactors.back()) * capacity)),
      window_(window(capacity)) {
  for (std::size_t i = 0; i < kFactors.size(); ++i) distances_[i] = std::round(kFactors[i] * capacity) * sample_.rate();
}

std::uint64_t MissCurve::window(std::uint32_t capacity) { return std::max(kLeastWindow, kWindowsPerBlock * capacity); }

void MissCurve::look_up(std::span<const std::uint64_t> keys) {
  looked_up_ += keys.size();
  for (const std::uint64_t key : keys) {
    if (!sample_.has(key)) continue;
    ++sampled_;
    const auto distance = stack_.distance(key);
    if (!distance) continue;
    for (std::size_t i = 0; i < kFactors.size(); ++i) hits_[i] += static_cast<double>(*distance) < distances_[i];
  }
  for (std::size_t i = keys.size(); i > 0; --i) use(keys[i - 1]);
  if (looked_up_ >= 2 * window_) fade();
}

void MissCurve::use(std::uint64_t key) {
  if (sample_.has(key)) stack_.use(key);
}

double MissCurve::hit_rate(std::size_t i) const {
  return sample_.share(static_cast<double>(hits_[i]), static_cast<double>(sampled_), static_cast<double>(looked_up_));
}

void MissCurve::fade() {
  looked_up_ /= 2;
  sampled_ /= 2;
  for (std::uint64_t& hits : hits_) hits /= 2;
}

}  // namespace headwater::cache
