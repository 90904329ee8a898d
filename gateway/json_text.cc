#include "gateway/json_text.h"

#include <algorithm>

namespace headwater::gateway {
namespace {

/// Deepest nesting of brackets outside strings, right for all valid JSON. Known before the parse, so that a
/// hostile text costs no memory.
std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

/// The library's message without its own name and number.
std::string reason_of(const Json::exception& error) {
  const std::string_view what = error.what();
  const std::size_t end = what.find("] ");
  return std::string(end == std::string_view::npos ? what : what.substr(end + 2));
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (depth_of(text) > kMaxJsonDepth) {
    return Error{ErrorCode::invalid_json,
                 "the JSON is nested more than " + std::to_string(kMaxJsonDepth) + " levels deep", ""};
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    return Error{ErrorCode::invalid_json, "this is not valid JSON: " + reason_of(error), ""};
  }
}

std::string to_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace headwater::gateway
