#pragma once
// What LRU would have hit, without its cache: a key is in an LRU cache as long as fewer keys than it has blocks were
// used after it. Keys are counted by when they were last used, in spans of a 64th of the capacity.

#include <cstdint>
#include <vector>

namespace headwater::cache {

class LruShadow {
 public:
  explicit LruShadow(std::uint32_t capacity);

  /// A key that was last used at `before` (0: never, or forgotten) is used `now`. Times count uses, from 1 on, and
  /// never go back.
  void use(std::uint64_t before, std::uint64_t now);
  /// Whether LRU would still hold a key that was last used at `time`.
  bool holds(std::uint64_t time) const { return time > 0 && time / span_ >= first_; }
  void reset();

 private:
  static constexpr std::size_t kSpans = 1024;

  std::uint32_t& at(std::uint64_t span) { return keys_[span % kSpans]; }

  std::uint32_t capacity_;
  std::uint64_t span_;
  std::uint64_t first_ = 0;  ///< the span of the key that LRU would give up next
  std::uint64_t last_ = 0;   ///< the span of now
  std::uint64_t held_ = 0;   ///< keys of the spans from first_ on
  std::vector<std::uint32_t> keys_;
};

}  // namespace headwater::cache
