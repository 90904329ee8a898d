#pragma once
// Lines of the log that consist of fields: `event key=value …` as text, an object as JSON.

#include <cstdint>
#include <string>
#include <string_view>

namespace headwater::gateway {

enum class LogFormat { text, json };

/// Sets how every line of the process is written, those of other parts included: as JSON each is an object with
/// "time", "level" and "event", plain sentences in "message". Call it before threads log.
void set_log_format(LogFormat format);

enum class LogLevel { debug, info, warn };

/// One line. Empty texts are left out.
class LogLine {
 public:
  explicit LogLine(std::string_view event);

  LogLine& add(std::string_view key, std::string_view value);
  LogLine& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
  LogLine& add(std::string_view key, std::uint64_t value);
  /// With one digit behind the point.
  LogLine& add(std::string_view key, double value);

  const std::string& text() const { return text_; }
  /// The members of an object, without its braces.
  const std::string& json() const { return json_; }

  /// Any thread. Nothing where the level is off.
  void write(LogLevel level) const;
  static bool enabled(LogLevel level);

 private:
  void put(std::string_view key, const std::string& value);

  std::string text_, json_;
};

}  // namespace headwater::gateway
