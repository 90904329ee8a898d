#pragma once
// A line every ten seconds of how much is served, while something is.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "gateway/log_line.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

/// The line for what was served between two pictures, `seconds` apart; none where nothing was.
std::optional<LogLine> throughput_line(const Stats& before, const Stats& now, double seconds);

/// Has a thread of its own: asking the runtime's stages may take a second.
class ThroughputLog {
 public:
  /// `also` runs with every look.
  ThroughputLog(const Runtime& runtime, std::function<void()> also,
                std::chrono::milliseconds interval = std::chrono::seconds(10));
  /// Waits for the end of the look under way.
  ~ThroughputLog();
  ThroughputLog(const ThroughputLog&) = delete;
  ThroughputLog& operator=(const ThroughputLog&) = delete;

 private:
  void run();

  const Runtime& runtime_;
  const std::function<void()> also_;
  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;  // last: uses all the others
};

}  // namespace headwater::gateway
