#pragma once
// What expressions of a template are about: Python's values. None ever changes but a namespace, so they are shared.
//
// Threading: values of one rendering belong to one caller; the constants of a template are read by any thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja/budget.h"
#include "model/jinja/text.h"

namespace headwater::model::jinja {

class Value;
using Values = std::vector<Value>;
struct Run;

/// A value that does not fit into a few bytes. It counts against a rendering's memory for as long as it lives.
class Object {
 public:
  explicit Object(Budget* budget) : budget_(budget) {}
  virtual ~Object() {
    if (budget_ != nullptr) budget_->release(held_);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  /// For what is no string, list or dict: `object.name`. None: it has no such thing.
  virtual std::optional<Value> attribute(std::string_view name, Run& run) const;
  /// As repr() shows it and errors name it.
  virtual std::string_view type_name() const { return "object"; }
  /// How many objects hold each other, this one among them: none is let go of in a recursion without end.
  std::uint32_t nested() const { return nested_; }

 protected:
  void holds(const Value& value);
  void hold(std::size_t bytes) {
    if (budget_ == nullptr) return;
    budget_->hold(bytes);
    held_ += bytes;
  }

 private:
  Budget* budget_;  ///< null: a constant of the template
  std::size_t held_ = 0;
  std::uint32_t nested_ = 1;
};

class Value {
 public:
  enum class Kind : std::uint8_t { undefined, none, boolean, integer, real, string, list, dict, callable, object };

  Value() = default;  ///< undefined, without a reason
  static Value none(Origin origin = Origin::written) { return Value(Kind::none, origin); }
  static Value boolean(bool value, Origin origin = Origin::written);
  static Value integer(std::int64_t value, Origin origin = Origin::written);
  static Value real(double value, Origin origin = Origin::written);
  /// `markup`: what `| safe` makes, which has what is added to it escaped.
  static Value string(Text text, Budget* budget, bool markup = false);
  static Value of(Kind kind, std::shared_ptr<const Object> object, Origin origin = Origin::written);
  /// What using it says: "'x' is undefined".
  static Value undefined(std::string why, Budget* budget);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  /// Of numbers, bools, None, and of the brackets and commas of lists and dicts. A string's bytes have their own.
  Origin origin() const { return origin_; }
  bool is_number() const { return kind_ == Kind::boolean || kind_ == Kind::integer || kind_ == Kind::real; }
  bool is_whole() const { return kind_ == Kind::boolean || kind_ == Kind::integer; }

  // REQUIRES: of that kind; whole(): is_whole(), number(): is_number().
  std::int64_t whole() const { return number_.whole; }
  double number() const { return kind_ == Kind::real ? number_.real : static_cast<double>(number_.whole); }
  const Text& text() const;
  const std::string& bytes() const { return text().bytes(); }
  bool is_markup() const;
  const struct List& list() const;
  const class Dict& dict() const;
  const Object* object() const { return object_.get(); }
  std::string_view reason() const;  ///< of an undefined one

 private:
  explicit Value(Kind kind, Origin origin) : kind_(kind), origin_(origin) {}

  Kind kind_ = Kind::undefined;
  Origin origin_ = Origin::written;
  union {
    std::int64_t whole = 0;
    double real;
  } number_;
  std::shared_ptr<const Object> object_;
};

struct String : Object {
  String(Text text, Budget* budget, bool markup) : Object(budget), text(std::move(text)), markup(markup) {
    hold(sizeof(String) + this->text.cost());
  }
  const Text text;
  const bool markup;
};

struct List : Object {
  enum class Form : std::uint8_t {
    list,
    tuple,
    view,       ///< of a dict's keys, values or items: has a length and no places
    generator,  ///< read once, without a length
  };
  List(Values items, Form form, Budget* budget);
  std::string_view type_name() const override;

  const Values items;
  const Form form;
  mutable bool spent = false;  ///< a generator that was read
};

class Dict : public Object {
 public:
  using Entry = std::pair<Value, Value>;
  /// Of keys that are the same, the last value counts. Throws where a key is a list or a dict.
  Dict(std::vector<Entry> entries, Budget* budget);
  const std::vector<Entry>& entries() const { return entries_; }
  const Value* find(const Value& key) const;  ///< nullptr: not there
  const Value* find(std::string_view key) const;

 private:
  const Value* found(const std::string& name) const;

  std::vector<Entry> entries_;
  std::map<std::string, std::size_t> places_;  ///< by the key's name
};

/// What `namespace()` makes: the one thing that can be changed.
struct Namespace : Object {
  explicit Namespace(Budget* budget) : Object(budget) { hold(sizeof(Namespace)); }
  std::optional<Value> attribute(std::string_view name, Run& run) const override;
  std::string_view type_name() const override { return "jinja2.utils.Namespace object"; }
  void set(const std::string& name, Value value) const;

  mutable std::vector<std::pair<std::string, Value>> attributes;
};

// Lists of a rendering.
Value make_list(Values items, Budget* budget, Origin origin = Origin::written, List::Form form = List::Form::list);
Value make_dict(std::vector<Dict::Entry> entries, Budget* budget, Origin origin = Origin::written);

bool truthy(const Value& value);
/// Python's ==.
bool equal(const Value& a, const Value& b, Budget& budget);
/// "str", "int", "NoneType", … as Python's errors have it.
std::string_view type_name(const Value& value);
/// Throws what using it says.
[[noreturn]] void fail_undefined(const Value& value);

}  // namespace headwater::model::jinja
