#pragma once
// Which idle block's time is over next: a heap that knows where each block is. 20 bytes a block; O(log n) a change.

#include <cstdint>
#include <limits>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace headwater::cache {

/// The time of what never happens.
inline constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();

class ExpiryQueue {
 public:
  explicit ExpiryQueue(std::uint32_t total_blocks) : places_(total_blocks, kOut) {}

  /// Puts the block in, or moves it. Of blocks with one deadline the deeper comes first.
  void set(BlockId block, TimeNs deadline, std::uint32_t depth);
  void remove(BlockId block);  ///< one that is not in it: nothing happens
  void clear();

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  /// REQUIRES: !empty().
  BlockId front() const { return heap_.front().block; }
  /// kNever: empty.
  TimeNs next_deadline() const { return heap_.empty() ? kNever : heap_.front().deadline; }

 private:
  static constexpr std::uint32_t kOut = std::numeric_limits<std::uint32_t>::max();
  struct Entry {
    TimeNs deadline = 0;
    std::uint32_t depth = 0;
    BlockId block = -1;
  };

  static bool before(const Entry& left, const Entry& right);
  std::uint32_t& place(BlockId block) { return places_[static_cast<std::size_t>(block)]; }
  void put(std::uint32_t at, const Entry& entry);
  void settle(std::uint32_t at);

  std::vector<Entry> heap_;
  std::vector<std::uint32_t> places_;  ///< of each block in the heap, or kOut
};

}  // namespace headwater::cache
