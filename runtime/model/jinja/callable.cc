#include "model/jinja/callable.h"

#include <algorithm>

#include "model/jinja/run.h"

namespace headwater::model::jinja {

void Arguments::check(std::string_view function, std::initializer_list<std::string_view> names) const {
  if (positional.size() > names.size()) {
    fail(std::string(function) + "() takes " + std::to_string(names.size()) + " arguments but " +
         std::to_string(positional.size()) + " were given");
  }
  for (const auto& [name, value] : named) {
    if (std::ranges::find(names, name) != names.end()) continue;
    fail(std::string(function) + "() got an unexpected keyword argument '" + name + "'");
  }
}

const Value* Arguments::find(std::size_t place, std::string_view name) const {
  if (place < positional.size()) return &positional[place];
  for (const auto& [known, value] : named) {
    if (known == name) return &value;
  }
  return nullptr;
}

std::int64_t Arguments::whole(std::size_t place, std::string_view name, std::int64_t otherwise) const {
  const Value* value = find(place, name);
  if (value == nullptr || value->is(Value::Kind::none)) return otherwise;
  if (!value->is_whole()) fail("'" + std::string(type_name(*value)) + "' object cannot be interpreted as an integer");
  return value->whole();
}

bool Arguments::flag(std::size_t place, std::string_view name, bool otherwise) const {
  const Value* value = find(place, name);
  return value == nullptr ? otherwise : truthy(*value);
}

const Text* Arguments::text(std::size_t place, std::string_view name) const {
  const Value* value = find(place, name);
  if (value == nullptr || value->is(Value::Kind::none)) return nullptr;
  if (value->is(Value::Kind::undefined)) fail_undefined(*value);
  if (!value->is(Value::Kind::string)) fail(std::string(name) + " must be str, not " + std::string(type_name(*value)));
  return &value->text();
}

const Value& Arguments::required(std::string_view function, std::size_t place, std::string_view name) const {
  const Value* value = find(place, name);
  if (value == nullptr) fail(std::string(function) + "() missing 1 required argument: '" + std::string(name) + "'");
  return *value;
}

void look_through(Run& run, const Arguments& arguments) {
  for (const Value& argument : arguments.positional) run.look_through(argument);
  for (const auto& [name, argument] : arguments.named) run.look_through(argument);
}

Value call(Run& run, const Value& value, Arguments& arguments) {
  if (value.is(Value::Kind::undefined)) fail_undefined(value);
  const auto* callable = dynamic_cast<const Callable*>(value.object());
  if (callable == nullptr) fail("'" + std::string(type_name(value)) + "' object is not callable");
  const Budget::Level level(run.budget);
  run.budget.step();
  look_through(run, arguments);
  return callable->call(run, arguments);
}

}  // namespace headwater::model::jinja
