// The functions that every template knows by name.

#include <algorithm>
#include <ctime>

#include "model/jinja/access.h"
#include "model/jinja/functions.h"
#include "model/jinja/print.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;

/// As Jinja's sandbox has it.
constexpr std::int64_t kMostRange = 100'000;

Value range(Run& run, const Arguments& arguments) {
  const std::size_t n = arguments.positional.size();
  if (n == 0 || n > 3) fail("range expected 1 to 3 arguments, got " + std::to_string(n));
  const std::int64_t begin = n == 1 ? 0 : arguments.whole(0, "start", 0);
  const std::int64_t end = arguments.whole(n == 1 ? 0 : 1, "stop", 0);
  const std::int64_t step = arguments.whole(2, "step", 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  Values values;
  Origin origin = Origin::written;
  for (const Value& argument : arguments.positional) origin = either(origin, argument.origin());
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (static_cast<std::int64_t>(values.size()) == kMostRange) {
      fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (" + std::to_string(kMostRange) + ").");
    }
    run.budget.step();
    values.push_back(Value::integer(at, origin));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return make_list(std::move(values), &run.budget, origin);
}

/// Of one mapping, or of pairs, and of names.
std::vector<Dict::Entry> entries_of(Run& run, const Arguments& arguments) {
  std::vector<Dict::Entry> entries;
  if (arguments.positional.size() > 1) fail("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& first = arguments.positional[0];
    if (first.is(Kind::dict)) {
      entries = first.dict().entries();
    } else {
      for (const Value& item : items_of(run, first)) {
        const Values pair = items_of(run, item);
        if (pair.size() != 2)
          fail("dictionary update sequence element has length " + std::to_string(pair.size()) + "; 2 is required");
        entries.emplace_back(pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(run.string(name, Origin::written), value);
  run.budget.step(entries.size());
  return entries;
}

Value dict(Run& run, const Arguments& arguments) { return make_dict(entries_of(run, arguments), &run.budget); }

Value make_namespace(Run& run, const Arguments& arguments) {
  const auto space = std::make_shared<Namespace>(&run.budget);
  run.namespaces.push_back(space);
  for (const auto& [key, value] : entries_of(run, arguments)) {
    if (!key.is(Kind::string)) fail("a namespace's names must be strings");
    run.budget.step(space->attributes.size() / 8);
    space->set(key.bytes(), value);
  }
  return Value::of(Kind::object, space);
}

Value raise_exception(Run& run, const Arguments& arguments) {
  const Value& message = arguments.required("raise_exception", 0, "message");
  throw Failure(Failure::Kind::raised, printed(message, run.budget).bytes());
}

Value strftime_now(Run& run, const Arguments& arguments) {
  constexpr std::size_t kMost = 4096;
  const Text* format = arguments.text(0, "format");
  if (format == nullptr) fail("strftime_now() missing 1 required argument: 'format'");
  if (format->size() > kMost / 16) Budget::exceeded("formats the time at length");
  std::tm parts{};
  localtime_r(&run.now, &parts);
  char text[kMost];
  const std::size_t size = std::strftime(text, sizeof(text), format->bytes().c_str(), &parts);
  return run.string(std::string(text, size), format->origin());
}

/// Gives nothing at its first call, and then the text that it was made with.
struct Joiner : Callable {
  Joiner(Value separator, Budget* budget) : Callable(budget), separator(std::move(separator)) { hold(sizeof(Joiner)); }
  Value call(Run& run, Arguments& /*arguments*/) const override {
    return std::exchange(used, true) ? separator : run.string("", Origin::written);
  }
  const Value separator;
  mutable bool used = false;
};

Value joiner(Run& run, const Arguments& arguments) {
  arguments.check("joiner", {"sep"});
  Value separator = arguments.text(0, "sep") == nullptr ? run.string(", ", Origin::written) : *arguments.find(0, "sep");
  return Value::of(Kind::callable, std::make_shared<Joiner>(std::move(separator), &run.budget));
}

Value function(Function::Body body) { return Value::of(Kind::callable, std::make_shared<Function>(body)); }

}  // namespace

void set_globals(Scope& scope) {
  static const std::pair<std::string, Value> kGlobals[] = {
      {"namespace", function(make_namespace)},
      {"raise_exception", function(raise_exception)},
      {"range", function(range)},
      {"dict", function(dict)},
      {"strftime_now", function(strftime_now)},
      {"joiner", function(joiner)},
  };
  for (const auto& [name, value] : kGlobals) scope.set(name, value);
}

}  // namespace headwater::model::jinja
