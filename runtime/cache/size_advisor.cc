#include "cache/size_advisor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "cache/eviction_policy.h"

namespace headwater::cache {
namespace {

constexpr std::uint64_t kLeastLookedUp = 1000;  // blocks, before there is advice
constexpr double kLittle = 0.02;                // of the hit rate
constexpr double kMost = 0.8;                   // of what the largest size would gain

std::string percent(double share) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.1f%%", 100 * share);
  return text.data();
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

/// "2 times the memory (4.0 GiB)"
std::string size_text(const CacheSize& size) {
  std::array<char, 32> factor{};
  std::snprintf(factor.data(), factor.size(), "%g", size.factor);
  return std::string(factor.data()) + " times the memory (" + bytes_text(size.bytes) + ")";
}

}  // namespace

std::string size_advice(std::span<const CacheSize> sizes, std::uint64_t looked_up, const std::string& policy) {
  if (looked_up < kLeastLookedUp) {
    return "Only " + std::to_string(looked_up) + " blocks of prompts were looked up so far; after " +
           std::to_string(kLeastLookedUp) + " there is something to go by.";
  }
  const auto present = std::ranges::find(sizes, 1.0, &CacheSize::factor);
  const double now = present->hit_rate;
  const double gain = sizes.back().hit_rate - now;
  if (gain >= kLittle) {
    const auto enough =
        std::find_if(present, sizes.end(), [&](const auto& size) { return size.hit_rate - now >= kMost * gain; });
    return size_text(*enough) + " under " + policy + " would hit " + percent(enough->hit_rate) +
           " of the blocks asked for instead of " + percent(now) + ".";
  }
  const auto least =
      std::find_if(sizes.begin(), present, [&](const auto& size) { return now - size.hit_rate < kLittle; });
  const std::string more = "More memory would bring " + policy + " little: " + size_text(sizes.back()) + " would hit " +
                           percent(sizes.back().hit_rate) + " of the blocks asked for, and now " + percent(now) +
                           " are hit. ";
  if (least != present) return more + size_text(*least) + " would do: it would hit " + percent(least->hit_rate) + ".";
  if (present == sizes.begin()) return more;
  const CacheSize& smaller = *std::prev(present);
  return more + size_text(smaller) + " would hit only " + percent(smaller.hit_rate) + ".";
}

SizeAdvisor::SizeAdvisor(std::uint32_t total_blocks, const kernels::BlockGrid& grid, std::string policy)
    : grid_(grid), policy_(std::move(policy)), keys_(total_blocks) {
  if (std::ranges::count(policy_names(), policy_) == 0) policy_ = "lru";
  policy_ == "lru" ? static_cast<void>(lru_.emplace(total_blocks))
                   : static_cast<void>(other_.emplace(policy_, total_blocks));
}

void SizeAdvisor::look_up(const Key& root, std::span<const TokenId> tokens) {
  std::vector<std::uint64_t> keys;
  Key key = root;
  for (std::uint32_t block = 0; grid_.end(block) < tokens.size(); ++block) {
    key = block_key(key, tokens.subspan(grid_.begin(block), grid_.size(block)));
    keys.push_back(beginning(key));
  }
  lru_ ? lru_->look_up(keys) : other_->look_up(keys);
}

void SizeAdvisor::on_touches(std::span<const Touch> touches) {
  for (const Touch& touch : touches) {
    std::uint64_t& key = keys_.at(static_cast<std::size_t>(touch.block));
    if (touch.kind == Touch::Kind::published) {
      key = lru_ ? touch.key : fill(touch);
    } else if (touch.kind == Touch::Kind::idle && lru_) {
      lru_->use(key);
    }
  }
}

/// Gives the last of the blocks up to this one that the other curve samples.
std::uint64_t SizeAdvisor::fill(const Touch& touch) {
  const std::uint64_t before = touch.parent < 0 ? 0 : keys_.at(static_cast<std::size_t>(touch.parent));
  other_->fill(before, touch.key);
  return other_->last_sampled(touch.key, before);
}

CacheAdvice SizeAdvisor::advise(std::uint64_t block_bytes) const {
  CacheAdvice advice;
  advice.looked_up_blocks = lru_ ? lru_->looked_up() : other_->looked_up();
  for (std::size_t i = 0; i < MissCurve::kFactors.size(); ++i) {
    const double factor = MissCurve::kFactors[i];
    const auto blocks = static_cast<std::uint64_t>(std::llround(factor * static_cast<double>(keys_.size())));
    const double rate = lru_ ? lru_->hit_rate(i) : other_->hit_rate(i);
    advice.sizes.push_back({factor, blocks, blocks * block_bytes, rate});
  }
  advice.advice = size_advice(advice.sizes, advice.looked_up_blocks, policy_);
  return advice;
}

}  // namespace headwater::cache
