#include "model/jinja/access.h"

#include <algorithm>
#include <charconv>

#include "model/jinja/callable.h"
#include "model/jinja/characters.h"
#include "model/jinja/functions.h"
#include "model/jinja/print.h"
#include "model/jinja/text_operations.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;

/// A method that has not been called yet.
struct BoundMethod : Callable {
  BoundMethod(Method method, Value self, Budget* budget) : Callable(budget), method(method), self(std::move(self)) {
    holds(this->self);
    hold(sizeof(BoundMethod));
  }
  Value call(Run& run, Arguments& arguments) const override {
    run.look_through(self);
    return method(run, self, arguments);
  }
  const Method method;
  const Value self;
};

/// 'dict object', as errors about what is missing name it.
std::string object_name(const Value& object) {
  if (object.is(Kind::none)) return "None";
  if (object.is(Kind::object)) return std::string(type_name(object));
  return std::string(type_name(object)) + " object";
}

std::optional<Value> attribute_of(Run& run, const Value& object, std::string_view name) {
  if (const Method method = find_method(object, name)) {
    return Value::of(Kind::callable, std::make_shared<BoundMethod>(method, object, &run.budget));
  }
  if (is_changing_method(object, name)) {
    return run.undefined("access to attribute '" + std::string(name) + "' of '" + std::string(type_name(object)) +
                         "' object is unsafe.");
  }
  return object.is(Kind::object) ? object.object()->attribute(name, run) : std::nullopt;
}

Value missing_attribute(Run& run, const Value& object, std::string_view name) {
  return run.undefined("'" + object_name(object) + "' has no attribute '" + std::string(name) + "'");
}

std::optional<std::size_t> place_in(std::size_t size, std::int64_t index) {
  const auto length = static_cast<std::int64_t>(size);
  if (index < -length || index >= length) return std::nullopt;
  return static_cast<std::size_t>(index < 0 ? index + length : index);
}

std::optional<Value> character_of(Run& run, const Text& text, std::int64_t index) {
  run.budget.copy(text.size());
  const auto place = place_in(index < 0 ? count_characters(text.bytes()) : text.size(), index);
  if (!place) return std::nullopt;
  const std::size_t begin = byte_of(text.bytes(), *place);
  if (begin == text.size()) return std::nullopt;
  const std::size_t length = first_character(std::string_view(text.bytes()).substr(begin)).length;
  return run.string(text.part(begin, begin + length));
}

std::optional<Value> item_of(Run& run, const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::dict: {
      if (key.is(Kind::list) && key.list().form != List::Form::tuple) return std::nullopt;
      if (key.is(Kind::dict) || key.is(Kind::undefined) || key.is(Kind::callable) || key.is(Kind::object)) {
        return std::nullopt;
      }
      const Value* found = object.dict().find(key);
      return found == nullptr ? std::nullopt : std::optional(*found);
    }
    case Kind::list: {
      const List& list = object.list();
      if (!key.is_whole() || list.form == List::Form::view || list.form == List::Form::generator) return std::nullopt;
      const auto place = place_in(list.items.size(), key.whole());
      return place ? std::optional(list.items[*place]) : std::nullopt;
    }
    case Kind::string:
      return key.is_whole() ? character_of(run, object.text(), key.whole()) : std::nullopt;
    default:
      return std::nullopt;
  }
}

/// Where a slice begins, where it ends, and how it steps.
struct Range {
  std::int64_t begin, end, step;
};

std::optional<std::int64_t> bound(const Value& value) {
  if (value.is(Kind::none)) return std::nullopt;
  if (!value.is_whole()) fail("slice indices must be integers or None or have an __index__ method");
  return value.whole();
}

Range range_of(std::int64_t length, const Value& begin, const Value& end, const Value& step) {
  const std::int64_t by = bound(step).value_or(1);
  if (by == 0) fail("slice step cannot be zero");
  const std::int64_t low = by > 0 ? 0 : -1, high = by > 0 ? length : length - 1;
  const auto place = [&](std::optional<std::int64_t> index, std::int64_t otherwise) {
    if (!index) return otherwise;
    return *index < 0 ? (*index < -length ? low : std::max(*index + length, low)) : std::min(*index, high);
  };
  return {place(bound(begin), by > 0 ? low : high), place(bound(end), by > 0 ? high : low), by};
}

/// How many places it has; and calls `use` with each.
template <class Use>
void each_place(const Range& range, Use use) {
  std::int64_t at = range.begin;
  while (range.step > 0 ? at < range.end : at > range.end) {
    use(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, range.step, &at)) return;
  }
}

Value slice_of_text(Run& run, const Text& text, const Value& begin, const Value& end, const Value& step) {
  run.budget.copy(text.size());
  const Range range = range_of(static_cast<std::int64_t>(count_characters(text.bytes())), begin, end, step);
  if (range.step == 1) {
    const std::size_t from = byte_of(text.bytes(), static_cast<std::size_t>(range.begin));
    const std::int64_t count = std::max<std::int64_t>(0, range.end - range.begin);
    const std::string_view rest = std::string_view(text.bytes()).substr(from);
    return run.string(text.part(from, from + byte_of(rest, static_cast<std::size_t>(count))));
  }
  std::vector<std::size_t> begins;
  run.budget.check(text.size() * sizeof(std::size_t));
  for (std::size_t at = 0; at < text.size();) {
    begins.push_back(at);
    at += first_character(std::string_view(text.bytes()).substr(at)).length;
  }
  begins.push_back(text.size());
  Text part;
  each_place(range, [&](std::size_t place) {
    run.budget.step();
    part.append(text, begins[place], begins[place + 1]);
  });
  return run.string(std::move(part));
}

}  // namespace

Value get_attribute(Run& run, const Value& object, std::string_view name) {
  if (object.is(Kind::undefined)) fail_undefined(object);
  if (auto found = attribute_of(run, object, name)) return *found;
  if (object.is(Kind::dict)) {
    if (const Value* found = object.dict().find(name)) return *found;
  }
  return missing_attribute(run, object, name);
}

Value get_item(Run& run, const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) fail_undefined(object);
  run.look_through(key);
  if (auto found = item_of(run, object, key)) return *found;
  if (!key.is(Kind::string)) {
    return run.undefined(object_name(object) + " has no element " + shown(key, run.budget).bytes());
  }
  if (auto found = attribute_of(run, object, key.bytes())) return *found;
  return missing_attribute(run, object, key.bytes());
}

Value get_slice(Run& run, const Value& object, const Value& begin, const Value& end, const Value& step) {
  if (object.is(Kind::undefined)) fail_undefined(object);
  if (object.is(Kind::string)) return slice_of_text(run, object.text(), begin, end, step);
  const bool sliced =
      object.is(Kind::list) && (object.list().form == List::Form::list || object.list().form == List::Form::tuple);
  if (object.is(Kind::dict)) fail("unhashable type: 'slice'");
  if (!sliced) fail("'" + std::string(type_name(object)) + "' object is not subscriptable");
  const Values& items = object.list().items;
  const Range range = range_of(static_cast<std::int64_t>(items.size()), begin, end, step);
  Values part;
  each_place(range, [&](std::size_t place) {
    run.budget.step();
    part.push_back(items[place]);
  });
  return make_list(std::move(part), &run.budget, object.origin(), object.list().form);
}

Value get_path(Run& run, const Value& object, const Value& path, const Value* otherwise) {
  const auto part_of = [&](const Value& from, const Value& key) {
    Value found = get_item(run, from, key);
    return found.is(Kind::undefined) && otherwise != nullptr ? *otherwise : found;
  };
  if (path.is_whole()) return part_of(object, path);
  if (!path.is(Kind::string)) fail("an attribute's name must be a string");
  Value found = object;
  std::string_view rest = path.bytes();
  while (true) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    std::int64_t place = 0;
    const bool whole = std::from_chars(part.data(), part.data() + part.size(), place).ptr == part.data() + part.size();
    const Value key = whole && !part.empty() ? Value::integer(place) : run.string(std::string(part), Origin::written);
    found = part_of(found, key);
    if (part.size() == rest.size()) return found;
    rest.remove_prefix(part.size() + 1);
  }
}

Values items_of(Run& run, const Value& value) {
  Values items;
  switch (value.kind()) {
    case Kind::undefined:
      return items;
    case Kind::list: {
      const List& list = value.list();
      if (list.form == List::Form::generator && std::exchange(list.spent, true)) return items;
      run.budget.step(list.items.size());
      run.budget.check(list.items.size() * sizeof(Value));
      return list.items;
    }
    case Kind::dict:
      run.budget.step(value.dict().entries().size());
      for (const Dict::Entry& entry : value.dict().entries()) items.push_back(entry.first);
      return items;
    case Kind::string:
      for (std::size_t at = 0; at < value.text().size();) {
        const std::size_t length = first_character(std::string_view(value.bytes()).substr(at)).length;
        run.budget.step();
        items.push_back(run.string(value.text().part(at, at + length)));
        at += length;
      }
      return items;
    default:
      fail("'" + std::string(type_name(value)) + "' object is not iterable");
  }
}

std::optional<std::size_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return count_characters(value.bytes());
    case Kind::dict:
      return value.dict().entries().size();
    case Kind::list:
      if (value.list().form == List::Form::generator) return std::nullopt;
      return value.list().items.size();
    default:
      return std::nullopt;
  }
}

bool contains(Run& run, const Value& container, const Value& item) {
  run.look_through(item);
  switch (container.kind()) {
    case Kind::undefined:
      return false;
    case Kind::string:
      if (item.is(Kind::undefined)) fail_undefined(item);
      if (!item.is(Kind::string)) {
        fail("'in <string>' requires string as left operand, not " + std::string(type_name(item)));
      }
      return find_bytes(container.bytes(), item.bytes(), 0, run.budget) != kNowhere;
    case Kind::dict:
      return container.dict().find(item) != nullptr;
    case Kind::list:
      return std::ranges::any_of(items_of(run, container),
                                 [&](const Value& one) { return equal(one, item, run.budget); });
    default:
      fail("argument of type '" + std::string(type_name(container)) + "' is not iterable");
  }
}

}  // namespace headwater::model::jinja
