#include "cache/miss_curve.h"

#include <algorithm>
#include <cmath>

namespace headwater::cache {
namespace {

constexpr std::uint64_t kLeastWindow = 65536;  // blocks
constexpr std::uint64_t kWindowsPerBlock = 16;

}  // namespace

MissCurve::MissCurve(std::uint32_t capacity, std::size_t most_keys)
    : rate_(std::min(1.0, static_cast<double>(most_keys) / (kFactors.back() * std::max(capacity, 1U)))),
      stack_(std::min(most_keys, static_cast<std::size_t>(kFactors.back()) * capacity)),
      window_(std::max(kLeastWindow, kWindowsPerBlock * capacity)) {
  for (std::size_t i = 0; i < kFactors.size(); ++i) distances_[i] = std::round(kFactors[i] * capacity) * rate_;
}

bool MissCurve::sampled(std::uint64_t key) const {
  if (rate_ >= 1) return true;
  key = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15ULL;  // not the bits that choose a place in a table
  return static_cast<double>(key >> 11) * 0x1p-53 < rate_;
}

void MissCurve::look_up(std::span<const std::uint64_t> keys) {
  looked_up_ += keys.size();
  for (const std::uint64_t key : keys) {
    if (!sampled(key)) continue;
    ++sampled_;
    const auto distance = stack_.distance(key);
    if (!distance) continue;
    for (std::size_t i = 0; i < kFactors.size(); ++i) hits_[i] += static_cast<double>(*distance) < distances_[i];
  }
  for (std::size_t i = keys.size(); i > 0; --i) use(keys[i - 1]);
  if (looked_up_ >= 2 * window_) fade();
}

void MissCurve::use(std::uint64_t key) {
  if (sampled(key)) stack_.use(key);
}

double MissCurve::hit_rate(std::size_t i) const {
  // Popular blocks may be in the sample more or less often than their share: what is amiss hits at any size.
  const double expected = static_cast<double>(looked_up_) * rate_;
  if (expected <= 0) return 0;
  const double missing = expected - static_cast<double>(sampled_);
  return std::clamp((static_cast<double>(hits_[i]) + missing) / expected, 0.0, 1.0);
}

void MissCurve::fade() {
  looked_up_ /= 2;
  sampled_ /= 2;
  for (std::uint64_t& hits : hits_) hits /= 2;
}

}  // namespace headwater::cache
