#include "gateway/json_text.h"

#include <algorithm>
#include <vector>

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

/// What the library's parser calls: puts the values together, and counts them.
class Builder {
 public:
  explicit Builder(std::size_t most_values) : most_(most_values) {}

  // NOLINTBEGIN(*-rvalue-reference-param-not-moved)
  bool null() { return add(Json()) != nullptr; }
  bool boolean(bool value) { return add(value) != nullptr; }
  bool number_integer(std::int64_t value) { return add(value) != nullptr; }
  bool number_unsigned(std::uint64_t value) { return add(value) != nullptr; }
  bool number_float(double value, const std::string&) { return add(value) != nullptr; }
  bool string(std::string& value) { return add(std::move(value)) != nullptr; }
  bool binary(Json::binary_t&) { return false; }  // not in text
  bool start_object(std::size_t) { return open(add(Json::object())); }
  bool start_array(std::size_t) { return open(add(Json::array())); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (open_.size() == 1) field_ = name;
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) {
    failure_ = {ErrorCode::invalid_json, "this is not valid JSON: " + reason_of(error), ""};
    return false;
  }
  // NOLINTEND(*-rvalue-reference-param-not-moved)

  JsonDocument take() { return std::move(root_); }
  Error failure() { return std::move(failure_); }

 private:
  /// Null: there are too many.
  template <class Value>
  Json* add(Value&& value) {
    if (++count_ > most_) {
      too_many();
      return nullptr;
    }
    if (open_.empty()) {
      static_cast<Json&>(root_) = Json(std::forward<Value>(value));
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::forward<Value>(value));
    Json& member = parent[key_];
    JsonDocument::take_apart(member);  // of a key that stood before
    member = Json(std::forward<Value>(value));
    return &member;
  }
  bool open(Json* value) {
    if (value != nullptr) open_.push_back(value);
    return value != nullptr;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  void too_many() {
    const std::string place = field_.empty() ? "the JSON" : "\"" + field_.substr(0, 64) + "\"";
    failure_ = {
        ErrorCode::payload_too_large,
        place + " is too long: the JSON has more than " + std::to_string(most_) + " values, which no request needs",
        field_.substr(0, 64)};
  }

  const std::size_t most_;
  std::size_t count_ = 0;
  JsonDocument root_;
  std::vector<Json*> open_;  ///< from the outermost
  std::string key_;
  std::string field_;  ///< of the outermost object
  Error failure_;
};

}  // namespace

void JsonDocument::take_apart(Json& value) noexcept {
  if (auto* array = value.get_ptr<Json::array_t*>()) {
    for (Json& element : *array) take_apart(element);
    array->clear();
  } else if (auto* object = value.get_ptr<Json::object_t*>()) {
    for (auto& [name, member] : *object) take_apart(member);
    object->clear();
  }
}

Result<JsonDocument> parse_json(std::string_view text, std::size_t most_values) {
  if (depth_of(text) > kMaxJsonDepth) {
    return Error{ErrorCode::invalid_json,
                 "the JSON is nested more than " + std::to_string(kMaxJsonDepth) + " levels deep", ""};
  }
  Builder builder(most_values);
  if (!Json::sax_parse(text, &builder)) return builder.failure();
  return builder.take();
}

std::string to_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace headwater::gateway
