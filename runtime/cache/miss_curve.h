#pragma once
// How many of the blocks that were asked for lately LRU caches of other sizes would have held: a miss-ratio curve, in
// bounded memory and O(log n) an access. Threading: one caller at a time.
//
// A block is in an LRU cache of n blocks if fewer than n others were used since it was. Where the cache is large, a
// sample of the blocks stands for all (KeySample), and distances are scaled.

#include <array>
#include <cstdint>
#include <span>

#include "cache/key_sample.h"
#include "cache/recency_stack.h"

namespace headwater::cache {

class MissCurve {
 public:
  /// Sizes that are looked at, in shares of the capacity.
  static constexpr std::array<double, 6> kFactors = {0.25, 0.5, 1, 2, 4, 8};
  static constexpr std::size_t kMostKeys = 32768;  ///< remembered, of all blocks that the largest size would hold

  explicit MissCurve(std::uint32_t capacity, std::size_t most_keys = kMostKeys);

  /// Blocks looked up after which older ones fade.
  static std::uint64_t window(std::uint32_t capacity);

  /// A prompt's whole blocks, in order, are looked up; they are in use from now on.
  void look_up(std::span<const std::uint64_t> keys);
  /// A block is not in use any more; those that follow it come first.
  void use(std::uint64_t key);

  /// Blocks looked up that count; older ones fade.
  std::uint64_t looked_up() const { return looked_up_; }
  /// The share of them that a cache of kFactors[i] times the capacity would have hit; 0 before any was looked up.
  double hit_rate(std::size_t i) const;

 private:
  void fade();

  KeySample sample_;
  RecencyStack stack_;
  std::array<double, kFactors.size()> distances_{};    ///< in the sample, from which on each size misses
  std::array<std::uint64_t, kFactors.size()> hits_{};  ///< in the sample
  std::uint64_t sampled_ = 0;                          ///< blocks looked up, in the sample
  std::uint64_t looked_up_ = 0;
  std::uint64_t window_;  ///< looked up at twice as many, counts are halved
};

}  // namespace headwater::cache
