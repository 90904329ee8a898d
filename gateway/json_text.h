#pragma once
// JSON as text: parsing what a stranger sent, and writing.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "headwater/result.h"

namespace headwater::gateway {

using Json = nlohmann::json;

/// Deepest nesting of arrays and objects that is accepted.
inline constexpr std::size_t kMaxJsonDepth = 64;

/// Errors: "invalid_json" for what is not JSON (RFC 8259), not UTF-8, nested too deeply, or holds a number
/// beyond a double's range. Of a duplicated key the last value counts.
Result<Json> parse_json(std::string_view text);

/// Compact text; bytes that are not UTF-8 become U+FFFD.
std::string to_text(const Json& value);

}  // namespace headwater::gateway
