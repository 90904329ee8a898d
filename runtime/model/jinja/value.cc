#include "model/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "model/jinja/run.h"

namespace headwater::model::jinja {
namespace {

struct Reason : Object {
  Reason(std::string why, Budget* budget) : Object(budget), why(std::move(why)) {
    hold(sizeof(Reason) + this->why.size());
  }
  const std::string why;
};

/// Of a tuple's name, which may be far longer than what the tuple holds in memory.
constexpr std::size_t kMostName = 1 << 16;

/// Equal keys have equal names: 1, 1.0 and True are one key.
std::string name_of(const Value& key) {
  switch (key.kind()) {
    case Value::Kind::string:
      return 's' + key.bytes();
    case Value::Kind::boolean:
    case Value::Kind::integer:
      return 'n' + std::to_string(key.whole());
    case Value::Kind::real:
      if (std::abs(key.number()) < 1e15 && key.number() == std::trunc(key.number())) {
        return 'n' + std::to_string(static_cast<std::int64_t>(key.number()));
      }
      return 'r' + std::to_string(key.number());
    case Value::Kind::none:
      return "-";
    case Value::Kind::list:
      if (key.list().form == List::Form::tuple) {
        std::string name = "t";
        for (const Value& item : key.list().items) {
          const std::string part = name_of(item);
          name += std::to_string(part.size()) + ":" + part;
          if (name.size() > kMostName) Budget::exceeded("has a long tuple as a key");
        }
        return name;
      }
      [[fallthrough]];
    default:
      fail("unhashable type: '" + std::string(type_name(key)) + "'");
  }
}

}  // namespace

void Object::holds(const Value& value) {
  if (value.object() == nullptr) return;
  nested_ = std::max(nested_, 1 + value.object()->nested());
  if (nested_ > Limits::kNested) Budget::exceeded("nests lists and dicts deeply");
}

std::optional<Value> Object::attribute(std::string_view /*name*/, Run& /*run*/) const { return std::nullopt; }

Value Value::boolean(bool value, Origin origin) {
  Value made(Kind::boolean, origin);
  made.number_.whole = value ? 1 : 0;
  return made;
}

Value Value::integer(std::int64_t value, Origin origin) {
  Value made(Kind::integer, origin);
  made.number_.whole = value;
  return made;
}

Value Value::real(double value, Origin origin) {
  Value made(Kind::real, origin);
  made.number_.real = value;
  return made;
}

Value Value::of(Kind kind, std::shared_ptr<const Object> object, Origin origin) {
  Value made(kind, origin);
  made.object_ = std::move(object);
  return made;
}

Value Value::string(Text text, Budget* budget, bool markup) {
  return of(Kind::string, std::make_shared<String>(std::move(text), budget, markup));
}

Value Value::undefined(std::string why, Budget* budget) {
  return of(Kind::undefined, std::make_shared<Reason>(std::move(why), budget));
}

const Text& Value::text() const { return static_cast<const String&>(*object_).text; }
bool Value::is_markup() const { return kind_ == Kind::string && static_cast<const String&>(*object_).markup; }
const List& Value::list() const { return static_cast<const List&>(*object_); }
const Dict& Value::dict() const { return static_cast<const Dict&>(*object_); }

std::string_view Value::reason() const {
  return object_ == nullptr ? "a value is undefined" : std::string_view(static_cast<const Reason&>(*object_).why);
}

List::List(Values items, Form form, Budget* budget) : Object(budget), items(std::move(items)), form(form) {
  for (const Value& item : this->items) holds(item);
  hold(sizeof(List) + this->items.capacity() * sizeof(Value));
}

std::string_view List::type_name() const {
  switch (form) {
    case Form::list:
      return "list";
    case Form::tuple:
      return "tuple";
    case Form::view:
      return "dict_items";
    case Form::generator:
      return "generator";
  }
  return "list";
}

Dict::Dict(std::vector<Entry> entries, Budget* budget) : Object(budget) {
  entries_.reserve(entries.size());
  std::size_t bytes = sizeof(Dict);
  for (Entry& entry : entries) {
    holds(entry.first);
    holds(entry.second);
    std::string name = name_of(entry.first);
    bytes += 2 * sizeof(Entry) + name.size();
    const auto [place, fresh] = places_.try_emplace(std::move(name), entries_.size());
    if (fresh) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[place->second].second = std::move(entry.second);
    }
  }
  if (budget != nullptr) budget->copy(bytes);
  hold(bytes);
}

const Value* Dict::found(const std::string& name) const {
  const auto place = places_.find(name);
  return place == places_.end() ? nullptr : &entries_[place->second].second;
}

const Value* Dict::find(const Value& key) const { return found(name_of(key)); }
const Value* Dict::find(std::string_view key) const { return found("s" + std::string(key)); }

std::optional<Value> Namespace::attribute(std::string_view name, Run& run) const {
  run.budget.step(attributes.size() / 8);
  for (const auto& [known, value] : attributes) {
    if (known == name) return value;
  }
  return std::nullopt;
}

void Namespace::set(const std::string& name, Value value) const {
  for (auto& [known, old] : attributes) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  const_cast<Namespace*>(this)->hold(sizeof(attributes[0]) + name.size());
  attributes.emplace_back(name, std::move(value));
}

Value make_list(Values items, Budget* budget, Origin origin, List::Form form) {
  return Value::of(Value::Kind::list, std::make_shared<List>(std::move(items), form, budget), origin);
}

Value make_dict(std::vector<Dict::Entry> entries, Budget* budget, Origin origin) {
  return Value::of(Value::Kind::dict, std::make_shared<Dict>(std::move(entries), budget), origin);
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::undefined:
    case Value::Kind::none:
      return false;
    case Value::Kind::boolean:
    case Value::Kind::integer:
      return value.whole() != 0;
    case Value::Kind::real:
      return value.number() != 0;
    case Value::Kind::string:
      return !value.text().empty();
    case Value::Kind::list:
      return value.list().form == List::Form::generator || !value.list().items.empty();
    case Value::Kind::dict:
      return !value.dict().entries().empty();
    case Value::Kind::callable:
    case Value::Kind::object:
      return true;
  }
  return true;
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  using Kind = Value::Kind;
  budget.step();
  if (a.is_whole() && b.is_whole()) return a.whole() == b.whole();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.kind() != b.kind()) return false;
  if (a.object() == b.object()) return true;
  const auto same = [&](const Value& x, const Value& y) { return equal(x, y, budget); };
  switch (a.kind()) {
    case Kind::string:
      budget.copy(a.text().size());
      return a.bytes() == b.bytes();
    case Kind::list: {
      const Values &x = a.list().items, &y = b.list().items;
      if (a.list().form != b.list().form || a.list().form == List::Form::generator) return false;
      return std::equal(x.begin(), x.end(), y.begin(), y.end(), same);
    }
    case Kind::dict:
      if (a.dict().entries().size() != b.dict().entries().size()) return false;
      return std::ranges::all_of(a.dict().entries(), [&](const Dict::Entry& entry) {
        if (entry.first.is(Kind::string)) budget.copy(entry.first.text().size());
        const Value* other = b.dict().find(entry.first);
        return other != nullptr && same(entry.second, *other);
      });
    case Kind::callable:
    case Kind::object:
      return false;
    default:
      return true;  // undefined, None
  }
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::undefined:
      return "Undefined";
    case Value::Kind::none:
      return "NoneType";
    case Value::Kind::boolean:
      return "bool";
    case Value::Kind::integer:
      return "int";
    case Value::Kind::real:
      return "float";
    case Value::Kind::string:
      return "str";
    case Value::Kind::dict:
      return "dict";
    case Value::Kind::list:
    case Value::Kind::callable:
    case Value::Kind::object:
      return value.object()->type_name();
  }
  return "object";
}

void fail_undefined(const Value& value) { fail(std::string(value.reason())); }

}  // namespace headwater::model::jinja
