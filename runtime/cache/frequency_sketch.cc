#include "cache/frequency_sketch.h"

#include <algorithm>

namespace headwater::cache {

FrequencySketch::FrequencySketch(std::uint32_t blocks)
    : counters_(std::max<std::uint64_t>(blocks, 1) * kCountersPerBlock / 2),
      width_(std::max<std::uint64_t>(blocks, 1) * kCountersPerBlock / kRows),
      most_uses_(std::max<std::uint64_t>(blocks, 1) * kUsesPerBlock) {}

std::uint64_t FrequencySketch::slot(std::uint64_t key, int row) const {
  // Keys are the beginnings of SHA-256, but a test's may be small numbers. Source of the mixer: splitmix64.
  std::uint64_t hash = key + 0x9E3779B97F4A7C15U * static_cast<std::uint64_t>(row + 1);
  hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9U;
  hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBU;
  hash ^= hash >> 31;
  return static_cast<std::uint64_t>(row) * width_ + hash % width_;
}

std::uint32_t FrequencySketch::estimate(std::uint64_t key) const {
  std::uint32_t least = kMost;
  for (int row = 0; row < kRows; ++row) least = std::min(least, at(slot(key, row)));
  return least;
}

void FrequencySketch::add(std::uint64_t key) {
  const std::uint32_t before = estimate(key);
  if (before < kMost) {
    for (int row = 0; row < kRows; ++row) {
      const std::uint64_t i = slot(key, row);
      if (at(i) == before) counters_[i / 2] = static_cast<std::uint8_t>(counters_[i / 2] + (1U << (i % 2 * 4)));
    }
  }
  if (++uses_ >= most_uses_) halve();
}

void FrequencySketch::halve() {
  for (std::uint8_t& pair : counters_) pair = static_cast<std::uint8_t>(pair >> 1 & 0x77U);
  uses_ /= 2;
}

void FrequencySketch::clear() {
  std::fill(counters_.begin(), counters_.end(), 0);
  uses_ = 0;
}

}  // namespace headwater::cache
