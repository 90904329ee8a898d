#pragma once
// A run: blocks of one chain, each after the other, that were used by the same requests and given up one by one, the
// last first. The block before them, or its ghost, knows of them by this alone: how many they are, and marks of some.

#include <array>
#include <cstdint>

namespace headwater::cache {

/// 6 bytes, however many blocks. A block of another chain is taken for one of the run by mistake at most up to the next
/// mark, and with one in 16 of those: a wrong guess at its past, never a wrong hit.
class BlockRun {
 public:
  static constexpr std::uint16_t kMost = 60000;

  std::uint16_t blocks() const { return blocks_; }
  bool full() const { return blocks_ == kMost; }

  /// The block before the run's first one was given up, too. REQUIRES: !full().
  void prepend(std::uint64_t key) {
    if (const int place = marked(blocks_); place >= 0) set_mark(place, mark_of(key));
    ++blocks_;
  }
  /// Whether the run begins with that block, as far as its marks tell.
  bool begins_with(std::uint64_t key) const {
    if (blocks_ == 0) return false;
    const int place = marked(blocks_ - 1U);
    return place < 0 || mark(place) == mark_of(key);
  }
  /// The run without its first block. REQUIRES: blocks() > 0.
  BlockRun rest() const {
    BlockRun rest = *this;
    --rest.blocks_;
    return rest;
  }

 private:
  static constexpr std::array<std::uint16_t, 8> kMarked = {0, 2, 5, 9, 14, 21, 32, 50};  // from the last block on

  static int marked(std::uint32_t from_last) {
    for (int i = 0; i < static_cast<int>(kMarked.size()); ++i) {
      if (kMarked[static_cast<std::size_t>(i)] == from_last) return i;
    }
    return -1;
  }
  static std::uint32_t mark_of(std::uint64_t key) { return key * 0x9E3779B97F4A7C15U >> 40 & 15U; }
  std::uint32_t mark(int place) const { return marks_[static_cast<std::size_t>(place) / 2] >> (place % 2 * 4) & 15U; }
  void set_mark(int place, std::uint32_t mark) {
    std::uint8_t& pair = marks_[static_cast<std::size_t>(place) / 2];
    pair = static_cast<std::uint8_t>((pair & (place % 2 == 0 ? 0xF0U : 0x0FU)) | mark << (place % 2 * 4));
  }

  std::array<std::uint8_t, 4> marks_{};  ///< two in each
  std::uint16_t blocks_ = 0;
};

}  // namespace headwater::cache
