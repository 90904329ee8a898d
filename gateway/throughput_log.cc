#include "gateway/throughput_log.h"

#include <spdlog/spdlog.h>

namespace headwater::gateway {
namespace {

/// Counters of a stage that did not answer in time, or was started anew, may be behind those before.
double growth(std::uint64_t before, std::uint64_t now) { return now > before ? static_cast<double>(now - before) : 0; }

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

}  // namespace

std::optional<LogLine> throughput_line(const Stats& before, const Stats& now, double seconds) {
  const double prompt = growth(before.prompt_tokens, now.prompt_tokens);
  const double generated = growth(before.generation_tokens, now.generation_tokens);
  if (prompt == 0 && generated == 0 && now.in_flight == 0) return std::nullopt;
  const double queried = growth(before.prefix_query_tokens, now.prefix_query_tokens);
  LogLine line("throughput");
  line.add("prompt_tokens_per_s", prompt / seconds)
      .add("generation_tokens_per_s", generated / seconds)
      .add("running", now.running)
      .add("queued", now.queued)
      .add("kv_in_use_percent", percent(static_cast<double>(now.blocks_active), static_cast<double>(now.blocks_total)))
      .add("prefix_hit_percent", percent(growth(before.prefix_hit_tokens, now.prefix_hit_tokens), queried));
  return line;
}

ThroughputLog::ThroughputLog(const Runtime& runtime, std::function<void()> also, std::chrono::milliseconds interval)
    : runtime_(runtime), also_(std::move(also)), interval_(interval), thread_([this] { run(); }) {}

ThroughputLog::~ThroughputLog() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  thread_.join();
}

void ThroughputLog::run() {
  std::optional<Stats> before;
  std::chrono::steady_clock::time_point last;
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    try {
      also_();
      if (LogLine::enabled(LogLevel::info)) {
        const Stats stats = runtime_.stats();
        const auto now = std::chrono::steady_clock::now();
        const double seconds = std::chrono::duration<double>(now - last).count();
        const auto line = before ? throughput_line(*before, stats, seconds) : std::nullopt;
        if (line) line->write(LogLevel::info);
        before = stats;
        last = now;
      }
    } catch (const std::exception& error) {
      spdlog::error("the throughput could not be told: {}", error.what());
    } catch (...) {
      spdlog::error("the throughput could not be told");
    }
    lock.lock();
  } while (!stopped_.wait_for(lock, interval_, [this] { return stopping_; }));
}

}  // namespace headwater::gateway
