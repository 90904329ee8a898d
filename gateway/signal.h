#pragma once
// Lets coroutines of one strand wait for each other.

#include "gateway/asio.h"

namespace headwater::gateway {

/// A condition variable for the coroutines of one strand: wait in a loop over the condition. Since all run on
/// one strand, nothing can change between the test of the condition and the wait.
class Signal {
 public:
  explicit Signal(const Executor& strand) : timer_(strand) {}

  Awaitable<void> wait() { co_await wait_until(net::steady_timer::time_point::max()); }
  Awaitable<void> wait_until(net::steady_timer::time_point deadline) {
    IoError ignored;
    timer_.expires_at(deadline);
    co_await timer_.async_wait(into(ignored));
  }
  void notify() { timer_.cancel(); }

 private:
  net::steady_timer timer_;
};

}  // namespace headwater::gateway
