#pragma once
// What Python's str does, on text that knows where it comes from. What is left of a client's words stays a client's.
//
// Threading: functions without state; one caller at a time for a budget.

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "model/jinja/budget.h"
#include "model/jinja/text.h"

namespace headwater::model::jinja {

inline constexpr std::size_t kNowhere = std::string_view::npos;
inline constexpr std::size_t kAllOf = std::string_view::npos;

/// The byte at which `what` stands from `from` on. Linear in time, whatever the texts.
std::size_t find_bytes(std::string_view text, std::string_view what, std::size_t from, Budget& budget);
std::size_t find_last_bytes(std::string_view text, std::string_view what, Budget& budget);
/// Without overlaps; of an empty `what`: characters and one.
std::size_t count_of(std::string_view text, std::string_view what, Budget& budget);

struct Ends {
  bool left = true;
  bool right = true;
};
/// Takes characters off that are in `characters`; without those, white space.
Text stripped(const Text& text, const Text* characters, Ends ends, Budget& budget);

/// At `separator`, or without one at white space; at most `most` times, from the left or from the right. Throws where
/// the separator is empty.
std::vector<Text> split(const Text& text, const Text* separator, std::size_t most, bool from_right, Budget& budget);
std::vector<Text> split_lines(const Text& text, bool keep_ends, Budget& budget);
Text replaced(const Text& text, const Text& from, const Text& to, std::size_t most, Budget& budget);

enum class Case { lower, upper, capitalized, title, titled_words, swapped };
/// title: as str.title(), where words are letters. titled_words: as the filter, where words end at blanks and brackets.
Text with_case(const Text& text, Case to, Budget& budget);

/// With HTML's escapes for & < > " and '.
Text escaped(const Text& text, Budget& budget);

/// Filled up to `width` characters with `fill`, with `left` of what lacks in front: 0 none, 1 all, 2 half.
Text filled(const Text& text, std::size_t width, const Text& fill, int left, Budget& budget);

}  // namespace headwater::model::jinja
