#include "cache/frequency_sketch.h"

#include <algorithm>

namespace headwater::cache {

FrequencySketch::FrequencySketch(std::uint32_t blocks)
    : counters_(std::max<std::uint64_t>(blocks, 1) * kCountersPerBlock / 2),
      door_(std::max<std::uint64_t>(blocks, 1) * kDoorBitsPerBlock / 8),
      width_(counters_.size() * 2 / kRows),
      most_uses_(std::max<std::uint64_t>(blocks, 1) * kUsesPerBlock) {}

std::uint64_t FrequencySketch::place(std::uint64_t key, std::uint32_t hash, std::uint64_t size) {
  std::uint64_t mixed = key + 0x9E3779B97F4A7C15U * (hash + 1);  // Source: splitmix64, public domain
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
  return (mixed ^ (mixed >> 31)) % size;
}

bool FrequencySketch::knows(std::uint64_t key) const {
  for (std::uint32_t i = 0; i < kRows; ++i) {
    const std::uint64_t bit = door(key, i);
    if ((door_[bit / 8] >> (bit % 8) & 1U) == 0) return false;
  }
  return true;
}

std::uint32_t FrequencySketch::further(std::uint64_t key) const {
  std::uint32_t least = kMost - 1;
  for (std::uint32_t row = 0; row < kRows; ++row) least = std::min(least, at(counter(key, row)));
  return least;
}

std::uint32_t FrequencySketch::estimate(std::uint64_t key) const { return further(key) + (knows(key) ? 1 : 0); }

void FrequencySketch::add(std::uint64_t key) {
  if (!knows(key)) {
    for (std::uint32_t i = 0; i < kRows; ++i) {
      const std::uint64_t bit = door(key, i);
      door_[bit / 8] = static_cast<std::uint8_t>(door_[bit / 8] | 1U << (bit % 8));
    }
  } else if (const std::uint32_t before = further(key); before < kMost - 1) {
    for (std::uint32_t row = 0; row < kRows; ++row) {
      const std::uint64_t i = counter(key, row);
      if (at(i) == before) counters_[i / 2] = static_cast<std::uint8_t>(counters_[i / 2] + (1U << (i % 2 * 4)));
    }
  }
  if (++uses_ >= most_uses_) fade();
}

void FrequencySketch::fade() {
  for (std::uint8_t& pair : counters_) pair = static_cast<std::uint8_t>(pair >> 1 & 0x77U);
  std::fill(door_.begin(), door_.end(), 0);
  uses_ /= 2;
}

void FrequencySketch::clear() {
  std::fill(counters_.begin(), counters_.end(), 0);
  std::fill(door_.begin(), door_.end(), 0);
  uses_ = 0;
}

}  // namespace headwater::cache
