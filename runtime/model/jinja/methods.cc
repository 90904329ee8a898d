// The methods of Python's dict and list that templates call.

#include <algorithm>

#include "model/jinja/access.h"
#include "model/jinja/functions.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;
using Args = const Arguments&;

Value view(Run& run, const Value& self, Args arguments, Value (*part)(Run&, const Value&, const Dict::Entry&)) {
  arguments.check("items", {});
  Values values;
  for (const Dict::Entry& entry : self.dict().entries()) {
    run.budget.step();
    values.push_back(part(run, self, entry));
  }
  return make_list(std::move(values), &run.budget, self.origin(), List::Form::view);
}

Value pair(Run& run, const Value& self, const Dict::Entry& entry) {
  return make_list({entry.first, entry.second}, &run.budget, self.origin(), List::Form::tuple);
}
Value key(Run& /*run*/, const Value& /*self*/, const Dict::Entry& entry) { return entry.first; }
Value value(Run& /*run*/, const Value& /*self*/, const Dict::Entry& entry) { return entry.second; }

Value get(Run& /*run*/, const Value& self, Args arguments) {
  arguments.check("get", {"key", "default"});
  const Value* found = self.dict().find(arguments.required("get", 0, "key"));
  if (found != nullptr) return *found;
  const Value* otherwise = arguments.find(1, "default");
  return otherwise == nullptr ? Value::none() : *otherwise;
}

constexpr std::pair<std::string_view, Method> kDictMethods[] = {
    {"copy", [](Run&, const Value& self, Args) { return self; }},
    {"get", get},
    {"items", [](Run& r, const Value& s, Args a) { return view(r, s, a, pair); }},
    {"keys", [](Run& r, const Value& s, Args a) { return view(r, s, a, key); }},
    {"values", [](Run& r, const Value& s, Args a) { return view(r, s, a, value); }},
};

Value count(Run& run, const Value& self, Args arguments) {
  const Value& what = arguments.required("count", 0, "value");
  const Values items = items_of(run, self);
  return Value::integer(std::ranges::count_if(items, [&](const Value& v) { return equal(v, what, run.budget); }));
}

Value index(Run& run, const Value& self, Args arguments) {
  const Value& what = arguments.required("index", 0, "value");
  const Values items = items_of(run, self);
  const auto found = std::ranges::find_if(items, [&](const Value& v) { return equal(v, what, run.budget); });
  if (found == items.end()) fail("the value is not in the list");
  return Value::integer(found - items.begin());
}

constexpr std::pair<std::string_view, Method> kListMethods[] = {
    {"copy", [](Run&, const Value& self, Args) { return self; }},
    {"count", count},
    {"index", index},
};

constexpr std::string_view kChangingDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kChangingList[] = {"append", "clear",  "extend",  "insert",
                                              "pop",    "remove", "reverse", "sort"};

template <class Table>
Method found_in(const Table& table, std::string_view name) {
  const auto* found = std::ranges::find(table, name, [](const auto& entry) { return entry.first; });
  return found == std::end(table) ? nullptr : found->second;
}

}  // namespace

Method find_method(const Value& self, std::string_view name) {
  if (self.is(Kind::string)) return find_text_method(name);
  if (self.is(Kind::dict)) return found_in(kDictMethods, name);
  const bool places =
      self.is(Kind::list) && (self.list().form == List::Form::list || self.list().form == List::Form::tuple);
  return places ? found_in(kListMethods, name) : nullptr;
}

bool is_changing_method(const Value& self, std::string_view name) {
  if (self.is(Kind::dict)) return std::ranges::find(kChangingDict, name) != std::end(kChangingDict);
  const bool list = self.is(Kind::list) && self.list().form == List::Form::list;
  return list && std::ranges::find(kChangingList, name) != std::end(kChangingList);
}

}  // namespace headwater::model::jinja
