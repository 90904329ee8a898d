#pragma once
// JSON Lines: a record a line. Whatever is wrong is reported with file, line and field.

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"

namespace headwater::eval {

/// One record. Its fields are read one after the other; the first mistake is kept, and gives a harmless value.
class Record {
 public:
  Record(nlohmann::json object, std::string place) : object_(std::move(object)), place_(std::move(place)) {}

  const std::string& place() const { return place_; }  ///< "FILE:LINE"
  bool has(const char* name) const { return object_.contains(name); }

  std::string text(const char* name);
  std::int64_t integer(const char* name, std::int64_t least, std::int64_t most);
  double number(const char* name);  ///< finite
  std::vector<double> numbers(const char* name);
  std::vector<std::int64_t> integers(const char* name, std::int64_t least, std::int64_t most, std::size_t max_count);
  std::vector<TokenId> tokens(const char* name, std::uint32_t vocab_size);
  /// Arrays of arrays.
  std::vector<std::vector<double>> number_lists(const char* name);
  std::vector<std::vector<TokenId>> token_lists(const char* name, std::uint32_t vocab_size);

  /// Notes `message` with the place.
  void fail(const std::string& message);
  const std::optional<Error>& error() const { return error_; }

 private:
  /// The field, or null with a mistake noted.
  const nlohmann::json* find(const char* name);
  const nlohmann::json* find_array(const char* name);
  void expected(const std::string& field, const char* what);
  /// The elements of an array; `name`: the field's, for messages.
  std::vector<double> numbers_of(const nlohmann::json& array, const std::string& name);
  std::vector<TokenId> tokens_of(const nlohmann::json& array, const std::string& name, std::uint32_t vocab_size);

  nlohmann::json object_;
  std::string place_;
  std::optional<Error> error_;
};

/// Calls `take` with each record, in order, until one fails. Empty lines are passed over. `name`: the file's, for
/// messages.
Result<void> read_jsonl(std::string_view text, const std::string& name,
                        const std::function<Result<void>(Record&)>& take);

}  // namespace headwater::eval
