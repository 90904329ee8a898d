#pragma once
// How many of the blocks that were asked for lately caches of other sizes would have hit under the policy in use. No
// formula tells that of a policy that learns: so it is tried, with miniature caches, one for each size, each of which
// serves the same sample of the blocks. Memory and time are bounded by kMostBlocks, whatever the capacity.

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>

#include "cache/key_sample.h"
#include "cache/miniature_cache.h"
#include "cache/miss_curve.h"

namespace headwater::cache {

class PolicyCurve {
 public:
  static constexpr std::uint32_t kMostBlocks = 1024;  ///< of the miniature of the present size

  /// REQUIRES: a policy that make_policy() knows.
  PolicyCurve(std::string_view policy, std::uint32_t capacity, std::uint32_t most_blocks = kMostBlocks);

  /// A prompt's whole blocks, in order, are looked up.
  void look_up(std::span<const std::uint64_t> keys);
  /// A block is filled that follows another, or begins a chain (`parent`: 0).
  void fill(std::uint64_t parent, std::uint64_t key);

  /// Of the keys up to and with this one, the last that is sampled; 0: none. `before`: what this said of its parent.
  std::uint64_t last_sampled(std::uint64_t key, std::uint64_t before) const { return sample_.has(key) ? key : before; }

  std::uint64_t looked_up() const { return looked_up_; }  ///< blocks that count; older ones fade
  /// The share of them that a cache of MissCurve::kFactors[i] times the capacity would have hit; 0 before any.
  double hit_rate(std::size_t i) const;

 private:
  KeySample sample_;
  std::deque<MiniatureCache> caches_;                             ///< one for each size
  std::array<std::uint64_t, MissCurve::kFactors.size()> hits_{};  ///< in the sample
  std::uint64_t sampled_ = 0;                                     ///< blocks looked up, in the sample
  std::uint64_t looked_up_ = 0;
  std::uint64_t window_;  ///< looked up at twice as many, counts are halved
};

}  // namespace headwater::cache
