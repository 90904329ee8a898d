#include "gateway/log_line.h"

#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "gateway/json_text.h"

namespace headwater::gateway {
namespace {

std::atomic<bool> writes_json{false};

/// Names the logger of lines that are members of an object already.
constexpr const char* kFields = "headwater.fields";

std::string quoted(std::string_view text) { return to_text(Json(std::string(text))); }

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    spdlog::memory_buf_t head;
    time_.format(message, head);
    append(line, {head.data(), head.size()});
    const std::string_view payload(message.payload.data(), message.payload.size());
    if (std::string_view(message.logger_name.data(), message.logger_name.size()) == kFields) {
      append(line, payload);
    } else {
      append(line, "\"event\":\"message\",\"message\":" + quoted(payload));
    }
    append(line, "}\n");
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

 private:
  static void append(spdlog::memory_buf_t& line, std::string_view text) {
    line.append(text.data(), text.data() + text.size());
  }

  spdlog::pattern_formatter time_{R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",)", spdlog::pattern_time_type::utc,
                                  ""};
};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::info:
      break;
  }
  return spdlog::level::info;
}

/// Whether a value can stand in a line of text without quotes.
bool is_plain(std::string_view value) {
  return std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '=' && c != '\\'; });
}

std::string with_one_digit(double value) { return fmt::format("{:.1f}", value); }

}  // namespace

void set_log_format(LogFormat format) {
  writes_json = format == LogFormat::json;
  if (writes_json) {
    spdlog::set_formatter(std::make_unique<JsonFormatter>());
  } else {
    spdlog::set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v"));
  }
}

LogLine::LogLine(std::string_view event) : text_(event), json_("\"event\":" + quoted(event)) {}

LogLine& LogLine::add(std::string_view key, std::string_view value) {
  if (value.empty()) return *this;
  const std::string in_quotes = quoted(value);
  text_.append(" ").append(key).append("=").append(is_plain(value) ? value : in_quotes);
  json_.append(",").append(quoted(key)).append(":").append(in_quotes);
  return *this;
}

LogLine& LogLine::add(std::string_view key, std::uint64_t value) {
  put(key, std::to_string(value));
  return *this;
}

LogLine& LogLine::add(std::string_view key, double value) {
  put(key, with_one_digit(value));
  return *this;
}

void LogLine::put(std::string_view key, const std::string& value) {
  text_.append(" ").append(key).append("=").append(value);
  json_.append(",").append(quoted(key)).append(":").append(value);
}

bool LogLine::enabled(LogLevel level) { return spdlog::should_log(level_of(level)); }

void LogLine::write(LogLevel level) const {
  if (!enabled(level)) return;
  if (!writes_json) return spdlog::log(level_of(level), "{}", text_);
  // A logger of that name in front of the same sinks: the formatter knows the line by it.
  const auto& sinks = spdlog::default_logger_raw()->sinks();
  spdlog::logger fields(kFields, sinks.begin(), sinks.end());
  fields.set_level(level_of(level));
  fields.log(level_of(level), "{}", json_);
}

}  // namespace headwater::gateway
