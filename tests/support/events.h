#pragma once
// Collects the events of a client and waits for them.

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "headwater/runtime.h"

namespace headwater::test {

/// What became of one request.
struct Outcome {
  std::vector<TokenEvent> events;

  bool ended() const { return !events.empty() && events.back().terminal(); }
  const TokenEvent& last() const { return events.back(); }
  std::vector<TokenId> tokens() const {
    std::vector<TokenId> ids;
    for (const auto& event : events) {
      if (event.kind == TokenEvent::Kind::tokens) ids.insert(ids.end(), event.token_ids.begin(), event.token_ids.end());
    }
    return ids;
  }
  std::string text() const {
    std::string text;
    for (const auto& event : events) text += event.text;
    return text;
  }
};

/// Threading: the handler runs on the runtime's threads, everything else on the test's.
class EventLog {
 public:
  /// The log must outlive the client.
  EventHandler handler() {
    return [this](std::span<const TokenEvent> events) {
      const std::scoped_lock lock(mutex_);
      for (const TokenEvent& event : events) {
        auto& outcome = outcomes_[event.id];
        if (outcome.ended()) ++after_end_;
        if (event.seq != outcome.events.size()) ++out_of_order_;
        outcome.events.push_back(event);
      }
      changed_.notify_all();
    };
  }

  /// Waits until the request has ended. A request that never ends fails the test by an empty outcome.
  Outcome wait(RequestId id) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return outcomes_[id].ended(); });
    return outcomes_[id];
  }
  /// Waits until the request has `n` tokens, or has ended.
  std::size_t wait_tokens(RequestId id, std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return outcomes_[id].ended() || outcomes_[id].tokens().size() >= n; });
    return outcomes_[id].tokens().size();
  }
  /// Events after a terminal one, and events whose seq is not the next: both must be 0.
  int violations() {
    const std::scoped_lock lock(mutex_);
    return after_end_ + out_of_order_;
  }

 private:
  static constexpr auto kPatience = std::chrono::seconds(60);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Outcome> outcomes_;
  int after_end_ = 0;
  int out_of_order_ = 0;
};

}  // namespace headwater::test
