#pragma once
// What a template may call: functions, methods, macros.
//
// Threading: as values.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja/value.h"

namespace headwater::model::jinja {

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Throws unless there are no others than these, in this order. `function`: its name in errors.
  void check(std::string_view function, std::initializer_list<std::string_view> names) const;
  /// The one at `place`, or with this name; nullptr: it was not given.
  const Value* find(std::size_t place, std::string_view name) const;
  // The same with what it is if it was not given. Throw where it is of another kind.
  std::int64_t whole(std::size_t place, std::string_view name, std::int64_t otherwise) const;
  bool flag(std::size_t place, std::string_view name, bool otherwise) const;
  /// None counts as not given.
  const Text* text(std::size_t place, std::string_view name) const;
  /// Throws where it was not given. `function`: its name in errors.
  const Value& required(std::string_view function, std::size_t place, std::string_view name) const;
};

struct Callable : Object {
  using Object::Object;
  virtual Value call(Run& run, Arguments& arguments) const = 0;
  std::string_view type_name() const override { return "function"; }
};

/// One of ours.
struct Function : Callable {
  using Body = Value (*)(Run& run, const Arguments& arguments);
  explicit Function(Body body) : Callable(nullptr), body(body) {}
  Value call(Run& run, Arguments& arguments) const override { return body(run, arguments); }
  const Body body;
};

/// Charges for looking through what a function is given.
void look_through(Run& run, const Arguments& arguments);
/// Throws where `value` is none that can be called.
Value call(Run& run, const Value& value, Arguments& arguments);

}  // namespace headwater::model::jinja
