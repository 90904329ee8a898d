#pragma once
// Values as text: as Python's str(), repr() and json.dumps() write them.
//
// Threading: one caller at a time for a budget.

#include <optional>
#include <string>

#include "model/jinja/value.h"

namespace headwater::model::jinja {

/// Python's str(); of undefined: nothing.
Text printed(const Value& value, Budget& budget);
/// Python's repr().
Text shown(const Value& value, Budget& budget);

struct JsonForm {
  std::optional<std::string> indent{};  ///< of a level; none: all on one line
  std::string comma = ", ";
  std::string colon = ": ";
  bool ascii = false;  ///< other characters as \uXXXX
  bool sorted = false;
};
/// Python's json.dumps(). Throws where a value is none that JSON has.
Text to_json(const Value& value, const JsonForm& form, Budget& budget);

/// Python's repr() of a float: the fewest digits that give it back.
std::string real_text(double number);
/// 'text', with the quotes and escapes of Python's repr().
Text quoted(const Text& text);

}  // namespace headwater::model::jinja
