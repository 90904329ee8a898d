#pragma once
// Values of a Jinja template, as far as chat templates have them.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace headwater::model::jinja {

struct Value;
using List = std::vector<Value>;
using Dict = std::map<std::string, Value>;
struct Undefined {};
struct None {};

/// Lists and dicts are shared, as names are for them in Jinja.
struct Value {
  std::variant<Undefined, None, bool, std::int64_t, std::string, std::shared_ptr<List>, std::shared_ptr<Dict>> is;

  Value() = default;
  Value(None none) : is(none) {}                                     // NOLINT(*-explicit-*)
  Value(bool truth) : is(truth) {}                                   // NOLINT(*-explicit-*)
  Value(std::int64_t number) : is(number) {}                         // NOLINT(*-explicit-*)
  Value(std::string text) : is(std::move(text)) {}                   // NOLINT(*-explicit-*)
  Value(const char* text) : is(std::string(text)) {}                 // NOLINT(*-explicit-*)
  Value(List list) : is(std::make_shared<List>(std::move(list))) {}  // NOLINT(*-explicit-*)
  Value(Dict dict) : is(std::make_shared<Dict>(std::move(dict))) {}  // NOLINT(*-explicit-*)

  template <class T>
  const T* get() const {
    return std::get_if<T>(&is);
  }
  const std::string* text() const { return get<std::string>(); }
  List* list() const {
    const auto* list = get<std::shared_ptr<List>>();
    return list == nullptr ? nullptr : list->get();
  }
  Dict* dict() const {
    const auto* dict = get<std::shared_ptr<Dict>>();
    return dict == nullptr ? nullptr : dict->get();
  }
  bool undefined() const { return get<Undefined>() != nullptr; }

  bool truthy() const {
    if (const auto* truth = get<bool>()) return *truth;
    if (const auto* number = get<std::int64_t>()) return *number != 0;
    if (text() != nullptr) return !text()->empty();
    if (list() != nullptr) return !list()->empty();
    return dict() != nullptr && !dict()->empty();
  }
};

}  // namespace headwater::model::jinja
