#pragma once
// Threading: functions without state.

#include <string>
#include <string_view>

namespace headwater::model::jinja {

/// What stands between the quotes of a string, with Python's escapes read: \n, \x41, \u2019, \101, …; a backslash
/// before anything else stands for itself.
std::string unescaped(std::string_view literal);

}  // namespace headwater::model::jinja
