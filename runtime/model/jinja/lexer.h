#pragma once
// A template's text cut into tokens, with the white space taken off that trim_blocks, lstrip_blocks and "-" take off.
//
// Threading: functions without state.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/jinja/budget.h"

namespace headwater::model::jinja {

struct Token {
  enum class Kind : std::uint8_t {
    data,          ///< what stands outside of all tags
    output_begin,  ///< {{
    output_end,
    block_begin,  ///< {%
    block_end,
    name,
    string,  ///< `text` without quotes and escapes
    integer,
    real,
    sign,  ///< an operator, or a bracket
    end,   ///< of the template
  };
  Kind kind = Kind::end;
  std::string text;
  std::size_t line = 1;
};

/// Ends with a token of kind `end`. Throws Failure (syntax) with a line.
std::vector<Token> read_tokens(std::string_view source);

}  // namespace headwater::model::jinja
