#pragma once
// Remembers about how often keys were used, long after they left the cache. 32 bytes a block.
//
// A count-min sketch of 4-bit counters that are all halved when as many uses were counted as it has room for, so that
// old uses fade. Source: Einziger, Friedman and Manes, "TinyLFU", ACM Transactions on Storage 2017.

#include <cstdint>
#include <vector>

namespace headwater::cache {

class FrequencySketch {
 public:
  static constexpr std::uint32_t kMost = 15;

  explicit FrequencySketch(std::uint32_t blocks);

  /// Never less than the uses that have not faded, and rarely more; up to kMost.
  std::uint32_t estimate(std::uint64_t key) const;
  /// Counts a use.
  void add(std::uint64_t key);
  void clear();

 private:
  static constexpr int kRows = 4;
  static constexpr std::uint64_t kCountersPerBlock = 64;
  static constexpr std::uint64_t kUsesPerBlock = 16;  ///< until all is halved

  std::uint64_t slot(std::uint64_t key, int row) const;
  std::uint32_t at(std::uint64_t slot) const { return counters_[slot / 2] >> (slot % 2 * 4) & 15U; }
  void halve();

  std::vector<std::uint8_t> counters_;  ///< two in each; rows one after the other
  std::uint64_t width_;                 ///< counters in a row
  std::uint64_t uses_ = 0, most_uses_;
};

}  // namespace headwater::cache
