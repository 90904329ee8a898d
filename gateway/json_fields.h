#pragma once
// Typed, checked access to the fields of a JSON object. A reader leaves its target alone where the field is absent
// or null. The first mistake is kept and later readers do nothing, so a parser reads straight on and asks once, at the
// end.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/json_text.h"
#include "headwater/request.h"

namespace headwater::gateway {

/// Bounds of a number, both inclusive unless `above_low`.
struct Range {
  double low = 0;
  double high = 0;
  bool above_low = false;  ///< `low` itself is out
};

/// Fields that nobody has asked for and that were ignored, of a body and its nested objects: their paths, without the
/// places in lists, and what was probably meant. At most kMost, each cut to kMostBytes; never values.
struct IgnoredFields {
  static constexpr std::size_t kMost = 16;
  static constexpr std::size_t kMostBytes = 64;
  struct One {
    std::string name;   ///< "messages[].thinking", from a stranger
    std::string meant;  ///< the nearest known name; empty: none is near
  };
  std::vector<One> fields;
};

class Fields {
 public:
  /// REQUIRES: `object` is an object and outlives this. `path` stands in front of names in errors ("params.").
  /// `ignored`: gets the fields that no call has named; null: such a field is a mistake.
  explicit Fields(const Json& object, std::string path = "", IgnoredFields* ignored = nullptr)
      : object_(object), path_(std::move(path)), ignored_(ignored) {}
  /// The JSON that the object was read from, for raw(). It outlives this.
  void read_from(std::string_view text) { text_ = text; }
  /// A field as JSON, with the keys of objects in the order of the text, if that is known. Empty: it is absent or null.
  std::string raw(std::string_view name);

  /// The fields of an object within this one, at `name`; what is unknown is met as here.
  Fields nested(std::string_view name, const Json& object) const;

  void read(std::string_view name, bool& out);
  void read(std::string_view name, std::string& out);
  void read(std::string_view name, float& out, Range range);
  void read(std::string_view name, std::uint32_t& out, std::uint32_t low, std::uint32_t high);
  void read(std::string_view name, std::optional<std::uint32_t>& out, std::uint32_t low, std::uint32_t high);
  /// A whole number of 64 bits, signed or not; a negative one keeps its bits.
  void read_bits(std::string_view name, std::optional<std::uint64_t>& out);
  /// A list of non-negative token ids, at most `max_size`.
  void read(std::string_view name, std::vector<TokenId>& out, std::size_t max_size);

  /// The field itself, or nullptr where it is absent or null.
  const Json* value(std::string_view name);

  /// The first of some names for one thing that is there and not null; the first of all where none is.
  std::string_view first_of(std::initializer_list<std::string_view> names);

  /// Fields that are known and have no effect here.
  void accept(std::initializer_list<std::string_view> names);
  /// A field that would change the answer and is not supported: an error where it is set to more than nothing.
  void refuse(std::initializer_list<std::string_view> names);
  /// The same, but for these values, which ask for nothing either.
  void refuse_other_than(std::string_view name, std::initializer_list<Json> nothing);

  void fail(std::string_view name, std::string message, ErrorCode code = ErrorCode::invalid_request);
  /// `wanted`: "a string", …
  void fail_type(std::string_view name, std::string_view wanted, const Json& got);
  /// Passes on a mistake found elsewhere, e.g. in a nested object.
  void fail(const Error& error);
  bool failed() const { return error_.has_value(); }
  std::string path(std::string_view name) const { return path_ + std::string(name); }

  /// The first mistake; then a field that no call above has named, unless those are ignored.
  Result<void> finish();
  /// What the calls above have named.
  const std::vector<std::string>& known() const { return known_; }

 private:
  const Json* find(std::string_view name);
  std::optional<std::uint32_t> integer(std::string_view name, std::uint32_t low, std::uint32_t high);

  const Json& object_;
  std::string_view text_;
  std::string path_;
  IgnoredFields* ignored_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

/// "name", as errors show it.
std::string in_quotes(std::string_view name);

/// "a string", "a list", … as an error names it.
std::string_view type_name(const Json& value);

/// The ids of a JSON list. `name` is its path in errors.
Result<std::vector<TokenId>> read_token_ids(const Json& list, const std::string& name, std::size_t max_size);

}  // namespace headwater::gateway
