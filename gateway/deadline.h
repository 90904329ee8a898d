#pragma once
// A time by which reading must be done, after which the connection can still be answered.

#include <chrono>
#include <memory>

#include "gateway/asio.h"

namespace headwater::gateway {

/// Cancels what `stream` does when the time is over. A tcp_stream's own timeout closes it, so that nobody could be
/// told any more. REQUIRES: all on the stream's strand; the stream outlives it, and has no timeout of its own set.
class Deadline {
 public:
  Deadline(beast::tcp_stream& stream, std::chrono::milliseconds patience)
      : timer_(stream.get_executor(), patience), state_(std::make_shared<State>()) {
    timer_.async_wait([&stream, state = state_](const IoError& error) {
      if (error || state->over) return;
      state->expired = true;
      stream.cancel();
    });
  }
  ~Deadline() { state_->over = true; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  bool expired() const { return state_->expired; }

 private:
  struct State {
    bool expired = false;
    bool over = false;
  };
  net::steady_timer timer_;
  std::shared_ptr<State> state_;
};

}  // namespace headwater::gateway
