#pragma once
// The door: how many requests may be under way, of all and of one tenant, and which of them would come too late. CAF
// mailboxes have no limit, so this is where load stops.
//
// Threading: all methods from any thread. The one object that clients and the frontend share.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "headwater/request.h"
#include "headwater/runtime.h"
#include "schedule/tenant_credit.h"
#include "schedule/wait_estimate.h"

namespace headwater::actors {

struct AdmissionOptions {
  std::uint32_t max_in_flight = 1024;
  double max_wait = 0;  ///< seconds that a request may be expected to wait; 0: any
  schedule::ServingLimits limits{};
};

class Admission {
 public:
  explicit Admission(const AdmissionOptions& options)
      : max_wait_(options.max_wait), credit_(options.max_in_flight), estimate_(options.limits) {}

  /// Takes one credit: the number of accepted requests in front that have no token yet.
  /// Errors: "overloaded", with when to come again; "draining", "unavailable".
  Result<std::uint32_t> enter(const schedule::RequestPtr& request);
  void tokenized(RequestId id, std::uint32_t prompt_tokens);
  void on_step(const schedule::StepResult& step);
  /// The request has its first token.
  void first_token();
  /// Gives the credit back, with the terminal event. `had_token`: first_token() was called for it.
  void leave(const schedule::AdmittedRequest& request, const TokenEvent& event, bool had_token, TimeNs now);
  /// The terminal event has reached its client.
  void delivered();
  /// Of those that are under way and not begun, which would miss their deadline even if they began now.
  std::vector<RequestId> hopeless(TimeNs now) const;

  void count_generated(std::uint64_t tokens);
  void count_restart();
  void count_refused(Refusal why);

  void drain();
  bool draining() const;
  /// Nothing will be accepted any more, and why.
  void break_down(std::string reason);

  /// Waits until every request has ended and its client knows. False: `timeout` has passed.
  bool wait_idle(std::chrono::milliseconds timeout);

  /// Fills the request counters.
  void report(Stats& stats) const;

 private:
  /// An error for want of time or credit. `retry_after`: seconds.
  Error refuse(const Request& request, Refusal refusal, const std::string& why, double retry_after);

  std::uint64_t& refused(Refusal why) { return counters_.refused[static_cast<std::size_t>(why)]; }

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  double max_wait_;
  schedule::TenantCredit credit_;
  schedule::WaitEstimate estimate_;
  std::uint32_t undelivered_ = 0;  ///< accepted, terminal event not handed over
  std::uint32_t without_token_ = 0;
  bool draining_ = false;
  std::string broken_;
  Stats counters_;
};

}  // namespace headwater::actors
