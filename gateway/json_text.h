#pragma once
// JSON as text: parsing what a stranger sent, and writing.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "headwater/result.h"

namespace headwater::gateway {

using Json = nlohmann::json;

/// Deepest nesting of arrays and objects that is accepted.
inline constexpr std::size_t kMaxJsonDepth = 64;

/// A value, however large, that ends without taking memory: the library takes some to destroy an array, and where there
/// is none it ends the process. Copies that are made of it are not so.
class JsonDocument : public Json {
 public:
  JsonDocument() = default;
  explicit JsonDocument(Json value) : Json(std::move(value)) {}
  ~JsonDocument() { take_apart(*this); }
  JsonDocument(JsonDocument&& other) noexcept : Json(std::move(static_cast<Json&>(other))) {}
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  /// Empties arrays and objects from the inside out; as deep as they are nested.
  static void take_apart(Json& value) noexcept;
};

/// `most_values`: arrays, objects, and what stands in them, in all; each takes 16 bytes and more.
/// Errors: "invalid_json" for what is not JSON (RFC 8259), not UTF-8, nested too deeply, or holds a number
/// beyond a double's range; "payload_too_large" for too many values, with the field of the outermost object in which
/// they were too many. Of a duplicated key the last value counts.
Result<JsonDocument> parse_json(std::string_view text, std::size_t most_values);

/// Compact text; bytes that are not UTF-8 become U+FFFD.
std::string to_text(const Json& value);

}  // namespace headwater::gateway
