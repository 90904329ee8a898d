#pragma once
// UTF-8, byte by byte. Source: RFC 3629, the table in section 4.

#include <cstddef>
#include <string>
#include <string_view>

namespace headwater::model {

/// U+FFFD, which stands for bytes that are not UTF-8.
inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// What stands at the beginning of some bytes.
struct Utf8Step {
  std::size_t length = 0;   ///< bytes of it, at least 1 for a non-empty text
  bool valid = false;       ///< a whole character
  bool incomplete = false;  ///< may become one with more bytes
};
Utf8Step utf8_step(std::string_view text);

bool valid_utf8(std::string_view text);

/// A stranger's text, fit for a terminal or a log: control characters and bytes that are not UTF-8 become "?", and
/// what goes beyond `most` bytes becomes "…".
std::string printable(std::string_view text, std::size_t most = 80);

}  // namespace headwater::model
