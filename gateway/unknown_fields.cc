#include "gateway/unknown_fields.h"

#include <spdlog/spdlog.h>

namespace headwater::gateway {

std::vector<std::string> UnknownFields::news(const IgnoredFields& ignored) {
  std::vector<std::string> lines;
  if (ignored.fields.empty()) return lines;
  const std::scoped_lock lock(mutex_);
  for (const IgnoredFields::One& field : ignored.fields) {
    if (full_) break;
    if (told_.contains(field.name)) continue;
    full_ = told_.size() >= kMostNames;
    if (full_) {
      lines.emplace_back("more unknown fields of requests are ignored, and not named any more");
      break;
    }
    told_.insert(field.name);
    std::string line = "ignored an unknown field of a request, " +
                       Json(field.name).dump(-1, ' ', true, Json::error_handler_t::replace);
    if (!field.meant.empty()) line += " (did you mean \"" + field.meant + "\"?)";
    lines.push_back(line + "; this is said once. With --strict-fields such requests are refused");
  }
  return lines;
}

void UnknownFields::tell(const IgnoredFields& ignored) {
  for (const std::string& line : news(ignored)) spdlog::warn("{}", line);
}

}  // namespace headwater::gateway
