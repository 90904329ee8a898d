#include "model/jinja/json_reader.h"

#include <charconv>

#include "model/jinja/characters.h"

namespace headwater::model::jinja {
namespace {

constexpr int kDeepest = 64;

/// Reads on until the first mistake; from there on everything is None.
class Reader {
 public:
  Reader(std::string_view text, Budget* budget) : text_(text), budget_(budget) {}

  Result<Value> whole() {
    Value value = read(0);
    skip_space();
    if (at_ < text_.size()) mistake("the end of the text");
    if (wanted_ == nullptr) return value;
    return Error{ErrorCode::invalid_json, "no JSON: at byte " + std::to_string(at_) + " expected " + wanted_, ""};
  }

 private:
  Value mistake(const char* wanted) {
    if (wanted_ == nullptr) wanted_ = wanted;
    return Value::none();
  }
  bool failed() const { return wanted_ != nullptr; }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool take_after_space(std::string_view word) {
    skip_space();
    return take(word);
  }

  Value read(int depth) {
    if (depth > kDeepest) return mistake("less nesting");
    skip_space();
    if (take("{")) return read_dict(depth);
    if (take("[")) return read_list(depth);
    if (take("\"")) return Value::string(read_string(), budget_);
    if (take("null")) return Value::none(Origin::data);
    if (take("true")) return Value::boolean(true, Origin::data);
    if (take("false")) return Value::boolean(false, Origin::data);
    return read_number();
  }

  Value read_list(int depth) {
    Values items;
    if (take_after_space("]")) return make_list({}, budget_, Origin::data);
    do {
      items.push_back(read(depth + 1));
    } while (!failed() && take_after_space(","));
    if (!take_after_space("]")) return mistake("\",\" or \"]\"");
    return make_list(std::move(items), budget_, Origin::data);
  }

  Value read_dict(int depth) {
    std::vector<Dict::Entry> entries;
    if (take_after_space("}")) return make_dict({}, budget_, Origin::data);
    do {
      if (!take_after_space("\"")) return mistake("a key");
      Value key = Value::string(read_string(), budget_);
      if (!take_after_space(":")) return mistake("\":\"");
      entries.emplace_back(std::move(key), read(depth + 1));
    } while (!failed() && take_after_space(","));
    if (!take_after_space("}")) return mistake("\",\" or \"}\"");
    return make_dict(std::move(entries), budget_, Origin::data);
  }

  Text read_string() {
    std::string bytes;
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) {
        mistake("no control character");
        return {};
      }
      c == '\\' ? read_escape(bytes) : bytes.push_back(c);
      if (failed()) return {};
    }
    if (!take("\"")) mistake("the end of a string");
    return {std::move(bytes), Origin::data};
  }

  void read_escape(std::string& bytes) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (take("u")) {
      std::uint32_t code = read_unit();
      if (code >= 0xD800 && code < 0xDC00 && take("\\u")) {
        const std::uint32_t low = read_unit();
        if (low < 0xDC00 || low > 0xDFFF) mistake("the second half of a surrogate pair");
        code = 0x10000U + ((code - 0xD800U) << 10U) + (low - 0xDC00U);
      } else if (code >= 0xD800 && code <= 0xDFFF) {
        mistake("a surrogate pair");
      }
      if (!failed()) append_character(bytes, code);
      return;
    }
    const std::size_t letter = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (letter == std::string_view::npos) {
      mistake("an escape");
      return;
    }
    bytes += kMeant[letter];
    ++at_;
  }

  std::uint32_t read_unit() {
    std::uint32_t unit = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() < 4 || read.ptr != digits.data() + 4) mistake("four hexadecimal digits");
    at_ += digits.size();
    return unit;
  }

  Value read_number() {
    const std::size_t begin = at_;
    const auto digits = [&] {
      const std::size_t from = at_;
      while (at_ < text_.size() && is_digit(static_cast<unsigned char>(text_[at_]))) ++at_;
      return at_ > from;
    };
    take("-");
    const bool zero = text_.substr(at_).starts_with('0');
    if (!digits() || (zero && at_ - begin > (text_[begin] == '-' ? 2U : 1U))) return mistake("a value");
    bool whole = true;
    if (take(".")) {
      whole = false;
      if (!digits()) return mistake("a digit");
    }
    if (take("e") || take("E")) {
      whole = false;
      if (!take("-")) take("+");
      if (!digits()) return mistake("a digit");
    }
    const std::string_view number = text_.substr(begin, at_ - begin);
    if (std::int64_t value = 0; whole) {
      const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
      if (read.ec == std::errc{}) return Value::integer(value, Origin::data);
    }
    double value = 0;
    const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
    if (read.ec != std::errc{}) return mistake("a number within a double's range");
    return Value::real(value, Origin::data);
  }

  std::string_view text_;
  Budget* budget_;
  std::size_t at_ = 0;
  const char* wanted_ = nullptr;  ///< of the first mistake
};

}  // namespace

Result<Value> read_json(std::string_view text, Budget* budget) { return Reader(text, budget).whole(); }

}  // namespace headwater::model::jinja
