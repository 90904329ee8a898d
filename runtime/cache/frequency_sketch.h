#pragma once
// Remembers about how often keys were used, long after they left the cache. 28 bytes a block.
//
// The first use of a key sets bits of a Bloom filter, the doorkeeper; further ones are counted in a count-min sketch of
// 4-bit counters. When as many uses were counted as there is room for, counters are halved and the doorkeeper is
// emptied, so old uses fade. Source: Einziger, Friedman and Manes, "TinyLFU", ACM Transactions on Storage 2017.

#include <cstdint>
#include <vector>

namespace headwater::cache {

class FrequencySketch {
 public:
  static constexpr std::uint32_t kMost = 16;

  explicit FrequencySketch(std::uint32_t blocks);

  /// Up to kMost. Never less than the uses that have not faded, and rarely more.
  std::uint32_t estimate(std::uint64_t key) const;
  /// Counts a use.
  void add(std::uint64_t key);
  void clear();

 private:
  static constexpr std::uint32_t kRows = 4;
  static constexpr std::uint64_t kCountersPerBlock = 32;
  static constexpr std::uint64_t kDoorBitsPerBlock = 96;
  static constexpr std::uint64_t kUsesPerBlock = 32;  ///< until old ones fade

  /// The place of the key for one of the hashes, below `size`.
  static std::uint64_t place(std::uint64_t key, std::uint32_t hash, std::uint64_t size);
  std::uint64_t counter(std::uint64_t key, std::uint32_t row) const { return row * width_ + place(key, row, width_); }
  std::uint64_t door(std::uint64_t key, std::uint32_t i) const { return place(key, kRows + i, door_.size() * 8); }
  std::uint32_t at(std::uint64_t counter) const { return counters_[counter / 2] >> (counter % 2 * 4) & 15U; }
  bool knows(std::uint64_t key) const;
  std::uint32_t further(std::uint64_t key) const;
  void fade();

  std::vector<std::uint8_t> counters_;  ///< two in each; rows one after the other
  std::vector<std::uint8_t> door_;      ///< bits
  std::uint64_t width_;                 ///< counters in a row
  std::uint64_t uses_ = 0, most_uses_;
};

}  // namespace headwater::cache
