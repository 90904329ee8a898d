// Jinja's filters that ask something of each item, and the names of all filters.

#include <algorithm>

#include "model/jinja/access.h"
#include "model/jinja/functions.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;
using Args = const Arguments&;

/// The arguments behind the first `n`.
Arguments behind(Args arguments, std::size_t n) {
  Arguments rest;
  for (std::size_t i = n; i < arguments.positional.size(); ++i) rest.positional.push_back(arguments.positional[i]);
  rest.named = arguments.named;
  return rest;
}

/// These filters do not look into what is false, such as None.
Values items_if_any(Run& run, const Value& input) { return truthy(input) ? items_of(run, input) : Values(); }

const std::string& name_at(Args arguments, std::size_t place, const char* what) {
  const Text* name = arguments.text(place, "");
  if (name == nullptr) fail(std::string("map, select and the like need the name of ") + what);
  return name->bytes();
}

Value map(Run& run, const Value& input, Args arguments) {
  Values mapped;
  const Value* attribute = arguments.find(arguments.positional.size(), "attribute");
  if (attribute == nullptr && arguments.positional.empty()) fail("map requires a filter argument");
  const Value* otherwise = arguments.find(arguments.positional.size(), "default");
  for (const Value& item : items_if_any(run, input)) {
    if (attribute != nullptr) {
      mapped.push_back(get_path(run, item, *attribute, otherwise));
    } else {
      mapped.push_back(apply_filter(run, name_at(arguments, 0, "a filter"), item, behind(arguments, 1)));
    }
  }
  return make_list(std::move(mapped), &run.budget, input.origin(), List::Form::generator);
}

/// Items, or those whose attribute, stand a test: without one, they must be true.
Value choose(Run& run, const Value& input, Args arguments, bool wanted, bool by_attribute) {
  const std::size_t test = by_attribute ? 1 : 0;
  if (by_attribute && arguments.positional.empty()) fail("Missing parameter for attribute name");
  Values chosen;
  for (const Value& item : items_if_any(run, input)) {
    const Value value = by_attribute ? get_path(run, item, arguments.positional[0]) : item;
    const bool stands = arguments.positional.size() <= test
                            ? truthy(value)
                            : apply_test(run, name_at(arguments, test, "a test"), value, behind(arguments, test + 1));
    if (stands == wanted) chosen.push_back(item);
  }
  return make_list(std::move(chosen), &run.budget, input.origin(), List::Form::generator);
}

constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
    {"map", map},
    {"reject", [](Run& r, const Value& v, Args a) { return choose(r, v, a, false, false); }},
    {"rejectattr", [](Run& r, const Value& v, Args a) { return choose(r, v, a, false, true); }},
    {"select", [](Run& r, const Value& v, Args a) { return choose(r, v, a, true, false); }},
    {"selectattr", [](Run& r, const Value& v, Args a) { return choose(r, v, a, true, true); }},
};

}  // namespace

FilterFunction find_choice_filter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, [](const auto& entry) { return entry.first; });
  return found == std::end(kFilters) ? nullptr : found->second;
}

FilterFunction find_filter(std::string_view name) {
  for (const auto find : {find_text_filter, find_list_filter, find_choice_filter}) {
    if (const FilterFunction found = find(name)) return found;
  }
  return nullptr;
}

Value apply_filter(Run& run, std::string_view name, const Value& input, const Arguments& arguments) {
  const FilterFunction filter = find_filter(name);
  if (filter == nullptr) fail("No filter named '" + std::string(name) + "' found.");
  run.budget.step();
  run.look_through(input);
  look_through(run, arguments);
  return filter(run, input, arguments);
}

}  // namespace headwater::model::jinja
