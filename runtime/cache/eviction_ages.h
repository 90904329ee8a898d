#pragma once
// How long blocks had been idle when they were given up. No clock: time is passed in. 8 bytes a block.

#include <span>
#include <vector>

#include "base/histogram.h"
#include "cache/prefix_cache.h"
#include "headwater/runtime.h"

namespace headwater::cache {

class EvictionAges {
 public:
  explicit EvictionAges(std::uint32_t total_blocks) : idle_since_(total_blocks) {}

  void on_touches(std::span<const Touch> touches, TimeNs now) {
    for (const Touch& touch : touches) {
      TimeNs& since = idle_since_.at(static_cast<std::size_t>(touch.block));
      if (touch.kind == Touch::Kind::idle) since = now;
      if (touch.kind == Touch::Kind::forgotten) seconds_.add(static_cast<double>(now - since) * 1e-9);
    }
  }

  const Histogram& seconds() const { return seconds_; }  ///< by kEvictionAgeBounds

 private:
  std::vector<TimeNs> idle_since_;
  Histogram seconds_{kEvictionAgeBounds};
};

}  // namespace headwater::cache
