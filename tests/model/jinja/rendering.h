#pragma once
// Templates rendered with one set of variables.

#include <cstdlib>
#include <ctime>
#include <string>

#include "model/jinja/json_reader.h"
#include "model/jinja/template.h"

namespace headwater::model::jinja {

struct Case {
  const char* source;
  const char* expected;
};

inline constexpr const char* kVariables =
    R"json({"name": "Zoë", "n": 3, "x": 2.5, "yes": true, "nothing": null, "words": ["b", "a", "C"], "empty": [],
"person": {"name": "Ann", "items": [1, 2], "age": 41}, "people": [{"name": "Ann", "age": 41, "city": {"zip": "1"}}, {"name": "bob", "age": 7}],
"text": "  Hello\tWorld \n", "quoted": "it's \"so\" \\ \n\u0001é", "numbers": [3, 1, 2, 3]})json";

inline Variables variables_of(std::string_view json) {
  Variables variables;
  const auto all = read_json(json, nullptr);
  for (const auto& [name, value] : all->dict().entries()) variables.emplace_back(name.bytes(), value);
  return variables;
}

inline Result<Text> render(std::string_view source, const Variables& variables, const Limits& limits = {}) {
  constexpr std::time_t kNow = 1'740'000'000;  // 2025-02-19 21:20 in UTC
  setenv("TZ", "UTC0", 1);
  tzset();
  const auto parsed = Template::parse(source);
  if (!parsed) return parsed.error();
  return (*parsed)->render(variables, kNow, limits);
}

/// The text, or "error: " with what is said.
inline std::string rendered(std::string_view source, const Limits& limits = {}) {
  static const Variables variables = variables_of(kVariables);
  const auto text = render(source, variables, limits);
  return text ? text->bytes() : "error: " + text.error().message;
}

}  // namespace headwater::model::jinja
