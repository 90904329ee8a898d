#pragma once
// One line of the log for each request at its end; never prompts, answers or keys.

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "headwater/request.h"

namespace headwater::gateway {

/// What a call generated; of several choices sums, and the first token of all.
struct Generated {
  std::uint64_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
  double ttft_ms = 0;   ///< 0: no token
  std::string outcome;  ///< "stop", "length", "cancelled", or an error's code
  bool failed = false;

  /// Counts a choice that has ended.
  void add(const TokenEvent& terminal);
};

struct RequestRecord {
  std::string id;
  std::string method;   ///< "GET", "POST", …; "WS": a frame of a WebSocket
  std::string route;    ///< as the server knows it, never a client's text
  std::string client;   ///< see client_name()
  unsigned status = 0;  ///< of the HTTP answer; 0: there was none
  std::string error;    ///< code of what was refused
  bool probe = false;   ///< health, metrics and the like: told at level debug
  std::chrono::steady_clock::time_point begun;
  std::optional<Generated> generated;
};

/// The tenant of an API key as a log may show it: the beginning of its digest. Empty without keys.
std::string client_name(const std::string& tenant);

/// How many lines about refusals fit into a second; the others are counted. Plain, and not safe for threads.
class RefusalBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::uint32_t kLinesPerSecond = 10;

  /// Whether this one is told.
  bool spend(const std::string& why, Time now);
  /// What was not told since the last call, by why, where its second is over.
  std::map<std::string, std::uint64_t> take_untold(Time now);

 private:
  Time second_{};
  std::uint32_t told_ = 0;
  std::map<std::string, std::uint64_t> untold_;
};

/// Threading: every member may be called from any thread.
class RequestLog {
 public:
  void ended(const RequestRecord& record);
  /// Tells how many refusals were left out, if some were. To be called now and then.
  void tell_untold();

 private:
  std::mutex mutex_;
  RefusalBudget refusals_;
};

}  // namespace headwater::gateway
