#pragma once
// What every template may call: global functions, filters, tests, and methods.
//
// Threading: functions without state; one caller at a time for a run.

#include <string_view>

#include "model/jinja/callable.h"
#include "model/jinja/run.h"

namespace headwater::model::jinja {

/// namespace, range, dict, raise_exception, strftime_now, joiner
void set_globals(Scope& scope);

using FilterFunction = Value (*)(Run& run, const Value& input, const Arguments& arguments);
/// nullptr: there is none of this name.
FilterFunction find_filter(std::string_view name);
/// Throws where there is none of this name.
Value apply_filter(Run& run, std::string_view name, const Value& input, const Arguments& arguments);

using TestFunction = bool (*)(Run& run, const Value& input, const Arguments& arguments);
TestFunction find_test(std::string_view name);
bool apply_test(Run& run, std::string_view name, const Value& input, const Arguments& arguments);

// A table's part for each file; nullptr: not there.
FilterFunction find_text_filter(std::string_view name);
FilterFunction find_list_filter(std::string_view name);
FilterFunction find_choice_filter(std::string_view name);

using Method = Value (*)(Run& run, const Value& self, const Arguments& arguments);
/// Of a str, list or dict; nullptr: there is none of this name.
Method find_method(const Value& self, std::string_view name);
Method find_text_method(std::string_view name);
/// Whether Python has it and it would change the value.
bool is_changing_method(const Value& self, std::string_view name);

}  // namespace headwater::model::jinja
