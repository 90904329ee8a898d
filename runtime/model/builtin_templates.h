#pragma once
// Chat templates by name, for files that carry none or a wrong one.
//
// Threading: functions without state.

#include <string>
#include <string_view>

namespace headwater::model {

inline constexpr std::string_view kBuiltinTemplates = "chatml, llama3, gemma, mistral";

/// The Jinja text of one of these; empty: there is none of this name.
std::string builtin_template(std::string_view name);

}  // namespace headwater::model
