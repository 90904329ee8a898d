#pragma once
// How long to leave alone what does not work: twice as long after each failure.

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace headwater::cache {

class Backoff {
 public:
  static constexpr TimeNs kLongest = 60'000'000'000;

  explicit Backoff(TimeNs first) : first_(first) {}

  void fail(TimeNs now) {
    pause_ = pause_ == 0 ? first_ : std::min(2 * pause_, kLongest);
    until_ = now + pause_;
  }
  void succeed() { pause_ = until_ = 0; }

  /// Failed, and not yet to be tried again.
  bool pausing(TimeNs now) const { return now < until_; }
  bool failing() const { return pause_ > 0; }  ///< since the last success

 private:
  TimeNs first_, pause_ = 0, until_ = 0;
};

}  // namespace headwater::cache
