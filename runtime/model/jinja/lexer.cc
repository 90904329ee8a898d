#include "model/jinja/lexer.h"

#include <algorithm>
#include <optional>

#include "model/jinja/characters.h"
#include "model/jinja/string_literal.h"
#include "model/utf8.h"

namespace headwater::model::jinja {
namespace {

bool is_blank(char c) { return is_space(static_cast<unsigned char>(c)); }
bool begins_name(char c) {
  return (static_cast<unsigned char>(c) | 0x20U) - 'a' < 26U || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool digit(char c) { return is_digit(static_cast<unsigned char>(c)); }

/// With "\n" for all ends of lines, and without one at the end.
std::string normalised(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

constexpr std::size_t kLongestName = 256;

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalised(source)), rest_(source_) {}

  std::vector<Token> all() {
    while (!rest_.empty()) {
      read_data();
      if (rest_.empty()) break;
      if (rest_.starts_with("{#")) {
        skip_comment();
      } else if (const auto raw = raw_begin()) {
        read_raw(*raw);
      } else {
        read_tag();
      }
    }
    add(Token::Kind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void mistake(const std::string& what) const {
    Failure failure(Failure::Kind::syntax, what);
    failure.line = line_;
    throw failure;
  }

  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  /// Takes so many bytes off.
  std::string_view take(std::size_t bytes) {
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    line_ += static_cast<std::size_t>(std::ranges::count(taken, '\n'));
    return taken;
  }

  void add_data(std::string_view text) {
    if (!text.empty()) add(Token::Kind::data, std::string(text));
  }

  /// Up to the next tag.
  void read_data() {
    std::size_t end = 0;
    while (end < rest_.size() && !tag_at(end)) ++end;
    const std::size_t line = line_;
    const std::string_view text = take(end);
    const std::string_view kept = rest_.empty() ? text : before_tag(text);
    if (!kept.empty()) tokens_.push_back({Token::Kind::data, std::string(kept), line});
  }
  bool tag_at(std::size_t at) const {
    const std::string_view open = rest_.substr(at, 2);
    return open == "{{" || open == "{%" || open == "{#";
  }

  /// Of a text, what the tag after it leaves: rest_ begins with the tag.
  std::string_view before_tag(std::string_view text) const {
    const char mark = rest_.size() > 2 ? rest_[2] : '\0';
    if (mark == '-') {
      while (!text.empty()) {
        const Character last = last_character(text);
        if (!is_space(last.code)) break;
        text.remove_suffix(last.length);
      }
      return text;
    }
    if (mark == '+' || rest_.starts_with("{{")) return text;
    const std::size_t newline = text.rfind('\n');
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (newline == std::string_view::npos && !line_starts_) return text;
    return std::ranges::all_of(text.substr(begin), is_blank) ? text.substr(0, begin) : text;
  }

  /// After a tag: a newline goes with it, or all white space where the tag ended with "-". rest_ begins behind it.
  void after_tag(bool cut, bool newline) {
    std::string_view taken;
    if (cut) {
      std::size_t n = 0;
      while (n < rest_.size() && is_space(first_character(rest_.substr(n)).code)) {
        n += first_character(rest_.substr(n)).length;
      }
      taken = take(n);
    } else if (newline && rest_.starts_with('\n')) {
      taken = take(1);
    }
    line_starts_ = taken.ends_with('\n');
  }

  void skip_comment() {
    const std::size_t end = rest_.find("#}", 2);
    if (end == std::string_view::npos) mistake("expected \"#}\", which ends the comment that begins here");
    const char mark = end > 2 ? rest_[end - 1] : '\0';
    take(end + 2);
    after_tag(mark == '-', mark != '+');
  }

  /// Bytes of "{% raw %}", where that is next.
  std::optional<std::size_t> raw_begin() const {
    if (!rest_.starts_with("{%")) return std::nullopt;
    std::size_t at = 2;
    if (at < rest_.size() && (rest_[at] == '-' || rest_[at] == '+')) ++at;
    const auto blanks = [&] {
      while (at < rest_.size() && is_blank(rest_[at])) ++at;
    };
    blanks();
    if (!rest_.substr(at).starts_with("raw")) return std::nullopt;
    at += 3;
    blanks();
    if (rest_.substr(at).starts_with("-%}")) return at + 3;
    if (rest_.substr(at).starts_with("%}")) return at + 2;
    return std::nullopt;
  }

  void read_raw(std::size_t length) {
    const bool cut = rest_[length - 3] == '-';
    take(length);
    after_tag(cut, false);
    for (std::size_t at = rest_.find("{%"); at != std::string_view::npos; at = rest_.find("{%", at + 2)) {
      std::string_view tag = rest_.substr(at + 2);
      if (tag.starts_with('-') || tag.starts_with('+')) tag.remove_prefix(1);
      while (!tag.empty() && is_blank(tag.front())) tag.remove_prefix(1);
      if (!tag.starts_with("endraw")) continue;
      tag.remove_prefix(6);
      while (!tag.empty() && is_blank(tag.front())) tag.remove_prefix(1);
      const char mark = tag.empty() ? '\0' : tag.front();
      if (mark == '-' || mark == '+') tag.remove_prefix(1);
      if (!tag.starts_with("%}")) continue;
      const std::string_view text = take(at);
      add_data(before_tag(text));
      take(static_cast<std::size_t>(tag.data() - rest_.data()) + 2);
      return after_tag(mark == '-', mark != '+');
    }
    mistake("expected {% endraw %}, which ends what begins here");
  }

  /// {{ … }} or {% … %}
  void read_tag() {
    const bool output = rest_.starts_with("{{");
    const std::string_view close = output ? "}}" : "%}";
    const std::size_t begin = line_;
    add(output ? Token::Kind::output_begin : Token::Kind::block_begin, std::string(rest_.substr(0, 2)));
    take(2);
    if (rest_.starts_with('-') || rest_.starts_with('+')) take(1);
    std::string open;  // brackets
    while (true) {
      while (!rest_.empty() && is_blank(rest_.front())) take(1);
      if (rest_.empty()) {
        line_ = begin;
        mistake("expected \"" + std::string(close) + "\", which ends the tag that begins here");
      }
      const bool marked = rest_.front() == '-' || (rest_.front() == '+' && !output);
      if (open.empty() && rest_.substr(marked ? 1 : 0).starts_with(close)) {
        const char mark = rest_.front();
        add(output ? Token::Kind::output_end : Token::Kind::block_end, std::string(close));
        take(marked ? 3 : 2);
        return after_tag(mark == '-', !output && mark != '+');
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    const char c = rest_.front();
    if (digit(c)) return read_number();
    if (begins_name(c)) {
      std::size_t n = 1;
      while (n < rest_.size() && (begins_name(rest_[n]) || digit(rest_[n]))) ++n;
      if (n > kLongestName) mistake("a name of more than " + std::to_string(kLongestName) + " bytes is not supported");
      return add(Token::Kind::name, std::string(take(n)));
    }
    if (c == '"' || c == '\'') return read_string(c);
    read_sign(open);
  }

  void read_string(char quote) {
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) mistake("expected the end of the string that begins here");
    add(Token::Kind::string, unescaped(rest_.substr(1, end - 1)));
    take(end + 1);
  }

  void read_number() {
    const auto digits = [&](std::size_t at) {
      while (at < rest_.size() &&
             (digit(rest_[at]) || (rest_[at] == '_' && at + 1 < rest_.size() && digit(rest_[at + 1])))) {
        ++at;
      }
      return at;
    };
    const std::string_view base = rest_.substr(0, 2);
    std::size_t end = digits(0);
    Token::Kind kind = Token::Kind::integer;
    if (base == "0x" || base == "0X" || base == "0o" || base == "0b") {
      end = 2;
      while (end < rest_.size() && std::isxdigit(static_cast<unsigned char>(rest_[end])) != 0) ++end;
    } else {
      if (end + 1 < rest_.size() && rest_[end] == '.' && digit(rest_[end + 1])) {
        end = digits(end + 1);
        kind = Token::Kind::real;
      }
      std::size_t exponent = end;
      if (exponent < rest_.size() && (rest_[exponent] | 0x20) == 'e') ++exponent;
      if (exponent > end && exponent < rest_.size() && (rest_[exponent] == '+' || rest_[exponent] == '-')) ++exponent;
      if (exponent > end && exponent < rest_.size() && digit(rest_[exponent])) {
        end = digits(exponent);
        kind = Token::Kind::real;
      }
    }
    std::string text(take(end));
    std::erase(text, '_');
    add(kind, std::move(text));
  }

  void read_sign(std::string& open) {
    static constexpr std::string_view kSigns[] = {"==", "!=", ">=", "<=", "**", "//", "+", "-", "*",
                                                  "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                  ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (const std::string_view sign : kSigns) {
      if (!rest_.starts_with(sign)) continue;
      check_bracket(sign.front(), open);
      return add(Token::Kind::sign, std::string(take(sign.size())));
    }
    mistake("unexpected \"" + printable(rest_.substr(0, first_character(rest_).length)) + "\"");
  }

  void check_bracket(char sign, std::string& open) const {
    constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (kOpen.find(sign) != std::string_view::npos) open += sign;
    const std::size_t closes = kClose.find(sign);
    if (closes == std::string_view::npos) return;
    if (open.empty() || open.back() != kOpen[closes]) mistake("unexpected \"" + std::string(1, sign) + "\"");
    open.pop_back();
  }

  const std::string source_;
  std::string_view rest_;
  std::size_t line_ = 1;
  bool line_starts_ = true;  ///< what is before ended with a newline, which was taken off with a tag
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> read_tokens(std::string_view source) { return Lexer(source).all(); }

}  // namespace headwater::model::jinja
