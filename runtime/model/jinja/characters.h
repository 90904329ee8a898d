#pragma once
// Characters as Python's str has them: a text is a row of code points. A byte that is not UTF-8 counts as one.
//
// Threading: functions without state.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace headwater::model::jinja {

/// The first character: its code point (of a byte that is not UTF-8: 0xDC00 + byte, which no UTF-8 has) and length.
struct Character {
  std::uint32_t code = 0;
  std::size_t length = 0;
};
/// REQUIRES: text is not empty.
Character first_character(std::string_view text);
/// REQUIRES: text is not empty.
Character last_character(std::string_view text);

std::size_t count_characters(std::string_view text);
/// Where the character at `index` begins, or size() where there are fewer.
std::size_t byte_of(std::string_view text, std::size_t index);
void append_character(std::string& text, std::uint32_t code);

/// Python's str.isspace().
bool is_space(std::uint32_t code);
bool is_digit(std::uint32_t code);
bool is_alpha(std::uint32_t code);
/// Whether repr() shows it as it is.
bool is_printable(std::uint32_t code);
// Of Latin, Greek, Cyrillic and Armenian letters with one other case; others stay as they are.
std::uint32_t to_lower(std::uint32_t code);
std::uint32_t to_upper(std::uint32_t code);

}  // namespace headwater::model::jinja
