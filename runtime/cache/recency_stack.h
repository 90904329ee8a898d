#pragma once
// Keys in the order of their last use, which says how many were used since any of them: LRU's stack distance. All
// calls O(log n), amortised. About 80 bytes a key.
//
// Every use takes the next place; a Fenwick tree counts the places that are taken. When places run out, the keys move
// together. Threading: one caller at a time.

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace headwater::cache {

class RecencyStack {
 public:
  /// Keeps the `capacity` keys that were used last.
  explicit RecencyStack(std::size_t capacity);

  /// How many other keys were used since this one was; nothing: it is not kept.
  std::optional<std::size_t> distance(std::uint64_t key) const;
  /// Puts the key in front of all others.
  void use(std::uint64_t key);
  std::size_t size() const { return places_.size(); }

 private:
  void count(std::size_t place, std::int32_t change);
  /// Keys at places up to and with this one.
  std::size_t counted(std::size_t place) const;
  void leave(std::size_t place);
  void move_together();

  struct Slot {
    std::uint64_t key = 0;
    bool taken = false;
  };
  std::size_t capacity_;
  std::vector<Slot> slots_;                                ///< by place; the latest last
  std::vector<std::int32_t> tree_;                         ///< from 1 on
  std::unordered_map<std::uint64_t, std::size_t> places_;  ///< of each key
  std::size_t next_ = 0;
  std::size_t oldest_ = 0;  ///< no place before it is taken
};

}  // namespace headwater::cache
