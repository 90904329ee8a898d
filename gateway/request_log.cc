#include "gateway/request_log.h"

#include <algorithm>

#include "gateway/log_line.h"

namespace headwater::gateway {
namespace {

using Clock = std::chrono::steady_clock;

/// Kinds of refusals that are counted apart; codes are few, so this is only a bound.
constexpr std::size_t kMaxReasons = 32;

LogLine line_of(const RequestRecord& record) {
  LogLine line("request");
  line.add("id", record.id).add("method", record.method).add("route", record.route).add("client", record.client);
  if (record.status != 0) line.add("status", std::uint64_t{record.status});
  if (record.generated) {
    const Generated& made = *record.generated;
    line.add("outcome", made.outcome)
        .add("tokens_in", made.prompt_tokens)
        .add("tokens_cached", made.cached_tokens)
        .add("tokens_out", made.completion_tokens);
    if (made.ttft_ms > 0) line.add("ttft_ms", made.ttft_ms);
  } else {
    line.add("outcome", record.error);
  }
  line.add("ms", std::chrono::duration<double, std::milli>(Clock::now() - record.begun).count());
  return line;
}

bool was_refused(const RequestRecord& record) {
  const bool bad = !record.error.empty() || record.status >= 400 || (record.generated && record.generated->failed);
  return bad && (!record.generated || record.generated->completion_tokens == 0);
}

}  // namespace

void Generated::add(const TokenEvent& terminal) {
  prompt_tokens += terminal.usage.prompt_tokens;
  cached_tokens += terminal.usage.cached_tokens;
  completion_tokens += terminal.usage.completion_tokens;
  if (terminal.usage.completion_tokens > 0) {
    ttft_ms = ttft_ms > 0 ? std::min(ttft_ms, terminal.timings.ttft_ms) : terminal.timings.ttft_ms;
  }
  switch (terminal.kind) {
    case TokenEvent::Kind::finished:
      if (outcome.empty() || terminal.finish_reason == FinishReason::length) {
        outcome = terminal.finish_reason == FinishReason::length ? "length" : "stop";
      }
      break;
    case TokenEvent::Kind::failed:
      failed = true;
      outcome = name_of(terminal.error.code);
      break;
    default:
      outcome = "cancelled";
  }
}

std::string client_name(const std::string& tenant) { return tenant.substr(0, 12); }

bool RefusalBudget::spend(const std::string& why, Time now) {
  if (now - second_ >= std::chrono::seconds(1)) {
    second_ = now;
    told_ = 0;
  }
  if (told_ < kLinesPerSecond) return ++told_, true;
  ++untold_[untold_.size() < kMaxReasons || untold_.contains(why) ? why : "other"];
  return false;
}

std::map<std::string, std::uint64_t> RefusalBudget::take_untold(Time now) {
  if (untold_.empty() || now - second_ < std::chrono::seconds(1)) return {};
  return std::exchange(untold_, {});
}

void RequestLog::ended(const RequestRecord& record) {
  const LogLevel level = record.probe ? LogLevel::debug : LogLevel::info;
  if (!LogLine::enabled(level)) return;
  if (was_refused(record)) {
    const std::scoped_lock lock(mutex_);
    const auto now = Clock::now();
    const std::string& why = record.generated ? record.generated->outcome : record.error;
    if (!refusals_.spend(why.empty() ? std::to_string(record.status) : why, now)) return;
  }
  tell_untold();
  line_of(record).write(level);
}

void RequestLog::tell_untold() {
  std::map<std::string, std::uint64_t> untold;
  {
    const std::scoped_lock lock(mutex_);
    untold = refusals_.take_untold(Clock::now());
  }
  if (untold.empty()) return;
  LogLine line("refusals_not_listed");
  for (const auto& [why, n] : untold) line.add(why, n);
  line.write(LogLevel::warn);
}

}  // namespace headwater::gateway
