#pragma once
// Credit: how many requests may be under way. CAF mailboxes have no limit, so this is where load stops.
//
// Threading: all methods from any thread. The one object that clients and the frontend share.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "headwater/request.h"
#include "headwater/runtime.h"

namespace headwater::actors {

class Admission {
 public:
  explicit Admission(std::uint32_t max_in_flight) : max_in_flight_(max_in_flight) {}

  /// Takes one credit: the number of accepted requests in front that have no token yet.
  /// Errors: "overloaded", "draining", "unavailable".
  Result<std::uint32_t> enter();
  /// The request has its first token.
  void first_token();
  /// Gives the credit back. `had_token`: first_token() was called for it.
  void leave(TokenEvent::Kind outcome, bool had_token);
  /// The terminal event has reached its client.
  void delivered();
  void count_tokens(std::uint64_t prompt, std::uint64_t generated);
  void count_restart();
  void count_rejected();

  void drain();
  bool draining() const;
  /// Nothing will be accepted any more, and why.
  void break_down(std::string reason);

  /// Waits until every request has ended and its client knows. False: `timeout` has passed.
  bool wait_idle(std::chrono::milliseconds timeout);

  /// Fills the request counters.
  void report(Stats& stats) const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::uint32_t max_in_flight_;
  std::uint32_t in_flight_ = 0;    ///< credits out
  std::uint32_t undelivered_ = 0;  ///< accepted, terminal event not handed over
  std::uint32_t without_token_ = 0;
  bool draining_ = false;
  std::string broken_;
  Stats counters_;
};

}  // namespace headwater::actors
