#include "gateway/json_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "gateway/json_slices.h"
#include "gateway/nearest_name.h"

namespace headwater::gateway {
namespace {

std::string number_text(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  return {text, end.ptr};
}

bool fits(const Json& value, std::uint64_t low, std::uint64_t high) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>() >= low && value.get<std::uint64_t>() <= high;
  return false;  // a negative integer: no bound here is below 0
}

/// "messages[17].name" → "messages[].name": one kind, wherever it stands.
std::string without_places(std::string_view path) {
  std::string kind;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool digit = path[i] >= '0' && path[i] <= '9';
    if (!digit || kind.empty() || kind.back() != '[') kind += path[i];
  }
  return kind;
}

}  // namespace

std::string in_quotes(std::string_view name) {
  std::string text = "\"";
  text.append(name).push_back('"');
  return text;
}

std::string_view type_name(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::number_float:
      return "a number with a fraction or exponent";
    default:
      return "a whole number";
  }
}

Result<std::vector<TokenId>> read_token_ids(const Json& list, const std::string& name, std::size_t max_size) {
  if (!list.is_array()) {
    return Error{ErrorCode::invalid_request,
                 in_quotes(name) + " must be a list of token ids, and is " + std::string(type_name(list)), name};
  }
  if (list.size() > max_size) {
    return Error{ErrorCode::invalid_request,
                 in_quotes(name) + " holds " + std::to_string(list.size()) + " token ids; at most " +
                     std::to_string(max_size) + " are accepted",
                 name};
  }
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  for (const Json& item : list) {
    if (!fits(item, 0, std::numeric_limits<TokenId>::max())) {
      const std::string place = name + "[" + std::to_string(ids.size()) + "]";
      return Error{ErrorCode::invalid_request, in_quotes(place) + " must be a token id, a whole number from 0", place};
    }
    ids.push_back(item.get<TokenId>());
  }
  return ids;
}

Fields Fields::nested(std::string_view name, const Json& object) const {
  std::string inner = path_;
  inner.append(name).push_back('.');
  return Fields(object, std::move(inner), ignored_);
}

std::string Fields::raw(std::string_view name) {
  const Json* found = value(name);
  if (found == nullptr) return "";
  const std::string_view as_sent = json_member(text_, name);
  return as_sent.empty() ? to_text(*found) : std::string(as_sent);
}

const Json* Fields::find(std::string_view name) {
  known_.emplace_back(name);
  if (failed()) return nullptr;
  const auto found = object_.find(std::string(name));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json* Fields::value(std::string_view name) { return find(name); }

void Fields::read(std::string_view name, bool& out) {
  const Json* field = find(name);
  if (field == nullptr) return;
  if (!field->is_boolean()) return fail_type(name, "true or false", *field);
  out = field->get<bool>();
}

void Fields::read(std::string_view name, std::string& out) {
  const Json* field = find(name);
  if (field == nullptr) return;
  if (!field->is_string()) return fail_type(name, "a string", *field);
  out = field->get<std::string>();
}

void Fields::read(std::string_view name, float& out, Range range) {
  const Json* field = find(name);
  if (field == nullptr) return;
  if (!field->is_number()) return fail_type(name, "a number", *field);
  const double value = field->get<double>();
  const bool inside = value >= range.low && value <= range.high;
  // A tiny number may round to the excluded bound.
  if (!inside || (range.above_low && static_cast<float>(value) <= static_cast<float>(range.low))) {
    return fail(name, in_quotes(path(name)) + " is " + number_text(value) + "; it must be " +
                          (range.above_low ? "above " : "from ") + number_text(range.low) + " to " +
                          number_text(range.high));
  }
  out = static_cast<float>(value);
}

std::optional<std::uint32_t> Fields::integer(std::string_view name, std::uint32_t low, std::uint32_t high) {
  const Json* field = find(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number_integer()) {
    fail_type(name, "a whole number", *field);
    return std::nullopt;
  }
  if (!fits(*field, low, high)) {
    fail(name, in_quotes(path(name)) + " is " + field->dump() + "; it must be from " + std::to_string(low) + " to " +
                   std::to_string(high));
    return std::nullopt;
  }
  return field->get<std::uint32_t>();
}

void Fields::read(std::string_view name, std::uint32_t& out, std::uint32_t low, std::uint32_t high) {
  if (const auto value = integer(name, low, high)) out = *value;
}

void Fields::read(std::string_view name, std::optional<std::uint32_t>& out, std::uint32_t low, std::uint32_t high) {
  if (const auto value = integer(name, low, high)) out = *value;
}

void Fields::read_bits(std::string_view name, std::optional<std::uint64_t>& out) {
  const Json* field = find(name);
  if (field == nullptr) return;
  if (field->is_number_unsigned()) {
    out = field->get<std::uint64_t>();
  } else if (field->is_number_integer()) {
    out = static_cast<std::uint64_t>(field->get<std::int64_t>());
  } else {
    fail_type(name, "a whole number of at most 64 bits", *field);
  }
}

void Fields::read(std::string_view name, std::vector<TokenId>& out, std::size_t max_size) {
  const Json* field = find(name);
  if (field == nullptr) return;
  auto ids = read_token_ids(*field, path(name), max_size);
  if (!ids) {
    error_ = ids.error();
  } else {
    out = std::move(*ids);
  }
}

void Fields::accept(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) known_.emplace_back(name);
}

std::string_view Fields::first_of(std::initializer_list<std::string_view> names) {
  std::string_view first = *names.begin();
  for (auto name = std::rbegin(names); name != std::rend(names); ++name) {
    if (find(*name) != nullptr) first = *name;
  }
  return first;
}

void Fields::refuse(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) refuse_other_than(name, {});
}

void Fields::refuse_other_than(std::string_view name, std::initializer_list<Json> nothing) {
  const Json* field = find(name);
  if (field == nullptr || *field == "" || (field->is_structured() && field->empty())) return;
  if (std::find(nothing.begin(), nothing.end(), *field) != nothing.end()) return;
  const bool off_is_true = nothing.size() == 1 && *nothing.begin() == true;
  if (*field == false && !off_is_true) return;
  const std::string off = nothing.size() == 0 ? "" : ", or send " + nothing.begin()->dump();
  fail(name, in_quotes(path(name)) + " is not supported by this server; leave it out" + off,
       ErrorCode::unsupported_parameter);
}

void Fields::fail(std::string_view name, std::string message, ErrorCode code) {
  if (!failed()) error_ = Error{code, std::move(message), path(name)};
}

void Fields::fail(const Error& error) {
  if (!failed()) error_ = error;
}

void Fields::fail_type(std::string_view name, std::string_view wanted, const Json& got) {
  fail(name, in_quotes(path(name)) + " must be " + std::string(wanted) + ", and is " + std::string(type_name(got)));
}

Result<void> Fields::finish() {
  if (error_) return *error_;
  for (const auto& [name, value] : object_.items()) {
    if (ignored_ != nullptr && ignored_->fields.size() >= IgnoredFields::kMost) return {};
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    // Unknown names may be as long as a body; only their beginning is shown.
    const std::string shown = path(std::string_view(name).substr(0, IgnoredFields::kMostBytes));
    std::string meant(nearest_name(name, known_));
    if (!meant.empty()) meant = path(meant);
    if (ignored_ != nullptr) {
      ignored_->fields.push_back({without_places(shown).substr(0, IgnoredFields::kMostBytes), without_places(meant)});
      continue;
    }
    std::string message = "unknown field " + in_quotes(shown);
    if (!meant.empty()) message += " (did you mean " + in_quotes(meant) + "?)";
    return Error{ErrorCode::unknown_parameter, message, shown};
  }
  return {};
}

}  // namespace headwater::gateway
