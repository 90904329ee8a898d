// Jinja's tests: what may stand behind `is`.

#include <algorithm>

#include "model/jinja/access.h"
#include "model/jinja/functions.h"
#include "model/jinja/operators.h"
#include "model/jinja/print.h"
#include "model/jinja/text_operations.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;
using Args = const Arguments&;

template <Compared::Sign sign>
bool compared(Run& run, const Value& value, Args arguments) {
  return compare(run, sign, value, arguments.required("test", 0, "other"));
}

template <Kind kind>
bool is_a(Run& /*run*/, const Value& value, Args /*arguments*/) {
  return value.is(kind);
}

template <bool truth>
bool is_bool(Run& /*run*/, const Value& value, Args /*arguments*/) {
  return value.is(Kind::boolean) && (value.whole() != 0) == truth;
}

bool divisible(Run& run, const Value& value, Args arguments) {
  return calculate(run, Binary::Sign::modulo, value, arguments.required("divisibleby", 0, "num")).number() == 0;
}

template <int rest>
bool leaves(Run& run, const Value& value, Args /*arguments*/) {
  return equal(calculate(run, Binary::Sign::modulo, value, Value::integer(2)), Value::integer(rest), run.budget);
}

bool iterable(Run& /*run*/, const Value& value, Args /*arguments*/) {
  return value.is(Kind::list) || value.is(Kind::dict) || value.is(Kind::string) || value.is(Kind::undefined);
}

bool sequence(Run& /*run*/, const Value& value, Args /*arguments*/) {
  if (value.is(Kind::list)) return value.list().form == List::Form::list || value.list().form == List::Form::tuple;
  return value.is(Kind::dict) || value.is(Kind::string) || value.is(Kind::undefined);
}

template <Case as>
bool has_case(Run& run, const Value& value, Args /*arguments*/) {
  const Text text = printed(value, run.budget);
  const std::string lower = with_case(text, Case::lower, run.budget).bytes();
  const std::string upper = with_case(text, Case::upper, run.budget).bytes();
  return lower != upper && text.bytes() == (as == Case::lower ? lower : upper);
}

bool same(Run& /*run*/, const Value& value, Args arguments) {
  const Value& other = arguments.required("sameas", 0, "other");
  if (value.kind() != other.kind()) return false;
  if (value.is_number()) return value.number() == other.number();
  return value.object() == other.object();
}

constexpr std::pair<std::string_view, TestFunction> kTests[] = {
    {"!=", compared<Compared::Sign::unequal>},
    {"<", compared<Compared::Sign::less>},
    {"<=", compared<Compared::Sign::less_equal>},
    {"==", compared<Compared::Sign::equal>},
    {">", compared<Compared::Sign::greater>},
    {">=", compared<Compared::Sign::greater_equal>},
    {"boolean", is_a<Kind::boolean>},
    {"callable", is_a<Kind::callable>},
    {"defined", [](Run&, const Value& v, Args) { return !v.is(Kind::undefined); }},
    {"divisibleby", divisible},
    {"eq", compared<Compared::Sign::equal>},
    {"equalto", compared<Compared::Sign::equal>},
    {"escaped", [](Run&, const Value& v, Args) { return v.is_markup(); }},
    {"even", leaves<0>},
    {"false", is_bool<false>},
    {"filter", [](Run&, const Value& v, Args) { return v.is(Kind::string) && find_filter(v.bytes()) != nullptr; }},
    {"float", is_a<Kind::real>},
    {"ge", compared<Compared::Sign::greater_equal>},
    {"greaterthan", compared<Compared::Sign::greater>},
    {"gt", compared<Compared::Sign::greater>},
    {"in", compared<Compared::Sign::in>},
    {"integer", is_a<Kind::integer>},
    {"iterable", iterable},
    {"le", compared<Compared::Sign::less_equal>},
    {"lessthan", compared<Compared::Sign::less>},
    {"lower", has_case<Case::lower>},
    {"lt", compared<Compared::Sign::less>},
    {"mapping", is_a<Kind::dict>},
    {"ne", compared<Compared::Sign::unequal>},
    {"none", is_a<Kind::none>},
    {"number", [](Run&, const Value& v, Args) { return v.is_number(); }},
    {"odd", leaves<1>},
    {"sameas", same},
    {"sequence", sequence},
    {"string", is_a<Kind::string>},
    {"test", [](Run&, const Value& v, Args) { return v.is(Kind::string) && find_test(v.bytes()) != nullptr; }},
    {"true", is_bool<true>},
    {"undefined", is_a<Kind::undefined>},
    {"upper", has_case<Case::upper>},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  const auto* found = std::ranges::find(kTests, name, [](const auto& entry) { return entry.first; });
  return found == std::end(kTests) ? nullptr : found->second;
}

bool apply_test(Run& run, std::string_view name, const Value& input, const Arguments& arguments) {
  const TestFunction test = find_test(name);
  if (test == nullptr) fail("No test named '" + std::string(name) + "' found.");
  run.budget.step();
  run.look_through(input);
  look_through(run, arguments);
  return test(run, input, arguments);
}

}  // namespace headwater::model::jinja
