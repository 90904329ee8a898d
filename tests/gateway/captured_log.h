#pragma once
// What the process logs while it lives, line by line.

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gateway/log_line.h"

namespace headwater::test {

class CapturedLog {
 public:
  explicit CapturedLog(gateway::LogFormat format = gateway::LogFormat::text,
                       spdlog::level::level_enum level = spdlog::level::info)
      : before_(spdlog::default_logger()),
        sink_(std::make_shared<Sink>()),
        logger_(std::make_shared<spdlog::logger>("captured", sink_)) {
    spdlog::set_default_logger(logger_);
    spdlog::set_level(level);
    gateway::set_log_format(format);
  }
  ~CapturedLog() {
    gateway::set_log_format(gateway::LogFormat::text);
    spdlog::set_default_logger(before_);
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  std::vector<std::string> lines() const { return sink_->lines(); }
  /// Those that hold `part`.
  std::vector<std::string> lines(const std::string& part) const {
    std::vector<std::string> found;
    for (const std::string& line : lines()) {
      if (line.find(part) != std::string::npos) found.push_back(line);
    }
    return found;
  }
  /// Waits for `n` lines that hold `part`; what there is after 20 s.
  std::vector<std::string> wait_for(const std::string& part, std::size_t n = 1) const {
    for (int i = 0; i < 20'000 && lines(part).size() < n; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return lines(part);
  }

 private:
  class Sink : public spdlog::sinks::base_sink<std::mutex> {
   public:
    std::vector<std::string> lines() {
      const std::scoped_lock lock(mutex_);
      return lines_;
    }

   protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
      spdlog::memory_buf_t text;
      formatter_->format(message, text);
      lines_.emplace_back(text.data(), text.size());
    }
    void flush_() override {}

   private:
    std::vector<std::string> lines_;
  };

  std::shared_ptr<spdlog::logger> before_;
  std::shared_ptr<Sink> sink_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace headwater::test
