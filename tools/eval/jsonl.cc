#include "tools/eval/jsonl.h"

#include <algorithm>
#include <cmath>

namespace headwater::eval {
namespace {

std::optional<double> finite(const nlohmann::json& value) {
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

/// Of a range within 63 bits.
std::optional<std::int64_t> whole(const nlohmann::json& value, std::int64_t least, std::int64_t most) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return std::nullopt;
  }
  const auto number = value.get<std::int64_t>();
  return number >= least && number <= most ? std::optional(number) : std::nullopt;
}

std::string element(const std::string& name, std::size_t index) { return name + "[" + std::to_string(index) + "]"; }

}  // namespace

void Record::fail(const std::string& message) {
  if (!error_) error_ = Error{ErrorCode::invalid_record, place_ + ": " + message, ""};
}

void Record::expected(const std::string& field, const char* what) {
  fail("\"" + field + "\" is not what was expected, " + what);
}

const nlohmann::json* Record::find(const char* name) {
  const auto found = object_.find(name);
  if (found != object_.end()) return &*found;
  fail("no \"" + std::string(name) + "\"");
  return nullptr;
}

const nlohmann::json* Record::find_array(const char* name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr || value->is_array()) return value;
  expected(name, "an array");
  return nullptr;
}

std::string Record::text(const char* name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  expected(name, "a string");
  return "";
}

std::int64_t Record::integer(const char* name, std::int64_t least, std::int64_t most) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return least;
  if (const auto number = whole(*value, least, most)) return *number;
  expected(name, ("a whole number from " + std::to_string(least) + " to " + std::to_string(most)).c_str());
  return least;
}

double Record::number(const char* name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return 0;
  if (const auto number = finite(*value)) return *number;
  expected(name, "a number");
  return 0;
}

std::vector<double> Record::numbers_of(const nlohmann::json& array, const std::string& name) {
  std::vector<double> all;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const auto number = finite(array[i]);
    if (!number) expected(element(name, i), "a number");
    all.push_back(number.value_or(0));
  }
  return all;
}

std::vector<double> Record::numbers(const char* name) {
  const nlohmann::json* array = find_array(name);
  return array == nullptr ? std::vector<double>() : numbers_of(*array, name);
}

std::vector<std::vector<double>> Record::number_lists(const char* name) {
  std::vector<std::vector<double>> all;
  const nlohmann::json* array = find_array(name);
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const nlohmann::json& list = (*array)[i];
    if (!list.is_array()) expected(element(name, i), "an array");
    all.push_back(list.is_array() ? numbers_of(list, element(name, i)) : std::vector<double>());
  }
  return all;
}

std::vector<std::int64_t> Record::integers(const char* name, std::int64_t least, std::int64_t most,
                                           std::size_t max_count) {
  std::vector<std::int64_t> all;
  const nlohmann::json* array = find_array(name);
  if (array != nullptr && array->size() > max_count) {
    expected(name, ("at most " + std::to_string(max_count) + " elements").c_str());
    return all;
  }
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const auto number = whole((*array)[i], least, most);
    if (!number) {
      expected(element(name, i),
               ("a whole number from " + std::to_string(least) + " to " + std::to_string(most)).c_str());
    }
    all.push_back(number.value_or(least));
  }
  return all;
}

std::vector<TokenId> Record::tokens_of(const nlohmann::json& array, const std::string& name, std::uint32_t vocab_size) {
  std::vector<TokenId> all;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const auto id = whole(array[i], 0, std::int64_t{vocab_size} - 1);
    if (!id) {
      fail("\"" + element(name, i) + "\" is no token of the model, whose vocabulary has " + std::to_string(vocab_size));
    }
    all.push_back(static_cast<TokenId>(id.value_or(0)));
  }
  return all;
}

std::vector<TokenId> Record::tokens(const char* name, std::uint32_t vocab_size) {
  const nlohmann::json* array = find_array(name);
  return array == nullptr ? std::vector<TokenId>() : tokens_of(*array, name, vocab_size);
}

std::vector<std::vector<TokenId>> Record::token_lists(const char* name, std::uint32_t vocab_size) {
  std::vector<std::vector<TokenId>> all;
  const nlohmann::json* array = find_array(name);
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const nlohmann::json& list = (*array)[i];
    if (!list.is_array()) expected(element(name, i), "an array");
    all.push_back(list.is_array() ? tokens_of(list, element(name, i), vocab_size) : std::vector<TokenId>());
  }
  return all;
}

Result<void> read_jsonl(std::string_view text, const std::string& name,
                        const std::function<Result<void>(Record&)>& take) {
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view json = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (json.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = name + ":" + std::to_string(line);
    auto object = nlohmann::json::parse(json, nullptr, false);
    if (object.is_discarded()) return Error{ErrorCode::invalid_record, place + ": this line is not JSON", ""};
    if (!object.is_object()) return Error{ErrorCode::invalid_record, place + ": this line is not a JSON object", ""};
    Record record(std::move(object), place);
    if (auto taken = take(record); !taken) return taken;
  }
  return {};
}

}  // namespace headwater::eval
