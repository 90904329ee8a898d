#include "model/jinja/string_literal.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "model/jinja/characters.h"

namespace headwater::model::jinja {
namespace {

/// Reads a number of up to `most` digits, takes it off, and appends its character. False: it has too few.
bool take_code(std::string_view& rest, std::size_t least, std::size_t most, int base, std::string& text) {
  std::uint32_t code = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + std::min(most, rest.size()), code, base);
  const auto digits = static_cast<std::size_t>(read.ptr - rest.data());
  if (digits < least || code > 0x10FFFF) return false;
  rest.remove_prefix(digits);
  append_character(text, code);
  return true;
}

/// After a backslash. False: that stands for itself.
bool take_escape(std::string_view& rest, std::string& text) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeant = "\a\b\f\n\r\t\v\\'\"";
  const char c = rest.front();
  if (const std::size_t letter = kLetters.find(c); letter != std::string_view::npos) {
    text += kMeant[letter];
    rest.remove_prefix(1);
    return true;
  }
  if (c == '\n') {  // the string goes on in the next line
    rest.remove_prefix(1);
    return true;
  }
  if (c >= '0' && c <= '7') return take_code(rest, 1, 3, 8, text);
  const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  std::string_view code = rest.substr(1);
  if (digits == 0 || !take_code(code, digits, digits, 16, text)) return false;
  rest = code;
  return true;
}

}  // namespace

std::string unescaped(std::string_view literal) {
  std::string text;
  while (!literal.empty()) {
    const char c = literal.front();
    literal.remove_prefix(1);
    if (c == '\\' && !literal.empty() && take_escape(literal, text)) continue;
    text += c;
  }
  return text;
}

}  // namespace headwater::model::jinja
