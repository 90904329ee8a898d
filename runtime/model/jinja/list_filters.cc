// Jinja's filters of lists, dicts and numbers.

#include <algorithm>
#include <charconv>
#include <cmath>

#include "model/jinja/access.h"
#include "model/jinja/functions.h"
#include "model/jinja/operators.h"
#include "model/jinja/print.h"
#include "model/jinja/text_operations.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;
using Args = const Arguments&;

Value length(Run& /*run*/, const Value& input, Args arguments) {
  arguments.check("length", {});
  const auto size = length_of(input);
  if (!size) fail("object of type '" + std::string(type_name(input)) + "' has no len()");
  return Value::integer(static_cast<std::int64_t>(*size));
}

Value first(Run& run, const Value& input, Args /*arguments*/) {
  const Values items = items_of(run, input);
  return items.empty() ? run.undefined("No first item, sequence was empty.") : items.front();
}

Value last(Run& run, const Value& input, Args /*arguments*/) {
  if (input.is(Kind::list) && input.list().form == List::Form::generator) fail("'generator' object is not reversible");
  const Values items = items_of(run, input);
  return items.empty() ? run.undefined("No last item, sequence was empty.") : items.back();
}

Value list(Run& run, const Value& input, Args /*arguments*/) {
  return make_list(items_of(run, input), &run.budget, input.origin());
}

Value reverse(Run& run, const Value& input, Args /*arguments*/) {
  Values items = items_of(run, input);
  std::ranges::reverse(items);
  if (!input.is(Kind::string)) return make_list(std::move(items), &run.budget, input.origin(), List::Form::generator);
  Text text;
  for (const Value& item : items) text.append(item.text());
  return run.string(std::move(text));
}

/// What a list is sorted or compared by: an item's attributes, or itself; small letters where case does not count.
class Key {
 public:
  Key(Run& run, const Value* attribute, bool by_case) : run_(run), by_case_(by_case) {
    if (attribute == nullptr || attribute->is(Kind::none)) return;
    if (!attribute->is(Kind::string)) {
      paths_.push_back(*attribute);
      return;
    }
    const Text comma(",", Origin::written);
    for (Text& path : split(attribute->text(), &comma, kAllOf, false, run.budget))
      paths_.push_back(run.string(std::move(path)));
  }

  Value of(const Value& item) const {
    if (paths_.empty()) return folded(item);
    Values parts;
    for (const Value& path : paths_) parts.push_back(folded(get_path(run_, item, path)));
    return make_list(std::move(parts), &run_.budget);
  }

 private:
  Value folded(const Value& value) const {
    if (by_case_ || !value.is(Kind::string)) return value;
    return run_.string(with_case(value.text(), Case::lower, run_.budget));
  }

  Run& run_;
  const bool by_case_;
  Values paths_;
};

/// Stable, in either direction. Throws where items have no order.
void sort_by(Run& run, Values& items, const Key& key, bool reversed) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    Value by = key.of(item);
    keyed.emplace_back(std::move(by), std::move(item));
  }
  std::ranges::stable_sort(keyed, [&](const auto& a, const auto& b) {
    return reversed ? order(run, b.first, a.first) < 0 : order(run, a.first, b.first) < 0;
  });
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
}

Value sort(Run& run, const Value& input, Args arguments) {
  arguments.check("sort", {"reverse", "case_sensitive", "attribute"});
  Values items = items_of(run, input);
  const Key key(run, arguments.find(2, "attribute"), arguments.flag(1, "case_sensitive", false));
  sort_by(run, items, key, arguments.flag(0, "reverse", false));
  return make_list(std::move(items), &run.budget, input.origin());
}

Values pairs_of(Run& run, const Value& input) {
  Values pairs;
  for (const auto& [key, value] : input.dict().entries()) {
    run.budget.step();
    pairs.push_back(make_list({key, value}, &run.budget, input.origin(), List::Form::tuple));
  }
  return pairs;
}

Value dict_sort(Run& run, const Value& input, Args arguments) {
  arguments.check("dictsort", {"case_sensitive", "by", "reverse"});
  if (input.is(Kind::undefined)) fail_undefined(input);
  if (!input.is(Kind::dict)) fail("'" + std::string(type_name(input)) + "' object has no attribute 'items'");
  const Text* by = arguments.text(1, "by");
  if (by != nullptr && by->bytes() != "key" && by->bytes() != "value")
    fail("You can only sort by either \"key\" or \"value\"");
  Values pairs = pairs_of(run, input);
  const Value place = Value::integer(by != nullptr && by->bytes() == "value" ? 1 : 0);
  sort_by(run, pairs, Key(run, &place, arguments.flag(0, "case_sensitive", false)),
          arguments.flag(2, "reverse", false));
  return make_list(std::move(pairs), &run.budget, input.origin());
}

Value items(Run& run, const Value& input, Args /*arguments*/) {
  if (input.is(Kind::undefined)) return make_list({}, &run.budget, Origin::written, List::Form::generator);
  if (!input.is(Kind::dict)) fail("Can only get item pairs from a mapping.");
  return make_list(pairs_of(run, input), &run.budget, input.origin(), List::Form::generator);
}

Value unique(Run& run, const Value& input, Args arguments) {
  arguments.check("unique", {"case_sensitive", "attribute"});
  const Key key(run, arguments.find(1, "attribute"), arguments.flag(0, "case_sensitive", false));
  // A dict keeps the place of a key's first entry, and its last value.
  std::vector<Dict::Entry> entries;
  for (const Value& item : items_of(run, input)) entries.emplace_back(key.of(item), item);
  std::ranges::reverse(entries);
  const Value first_items = make_dict(entries, &run.budget);
  std::ranges::reverse(entries);
  const Value in_order = make_dict(std::move(entries), &run.budget);
  Values kept;
  for (const auto& [by, item] : in_order.dict().entries()) kept.push_back(*first_items.dict().find(by));
  return make_list(std::move(kept), &run.budget, input.origin(), List::Form::generator);
}

/// The least or the greatest.
Value extreme(Run& run, const Value& input, Args arguments, bool greatest) {
  arguments.check(greatest ? "max" : "min", {"case_sensitive", "attribute"});
  const Key key(run, arguments.find(1, "attribute"), arguments.flag(0, "case_sensitive", false));
  const Values all = items_of(run, input);
  if (all.empty()) return run.undefined("No aggregated item, sequence was empty.");
  std::size_t best = 0;
  Value best_key = key.of(all[0]);
  for (std::size_t i = 1; i < all.size(); ++i) {
    Value other = key.of(all[i]);
    const int way = order(run, other, best_key);
    if (greatest ? way <= 0 : way >= 0) continue;
    best = i;
    best_key = std::move(other);
  }
  return all[best];
}

Value sum(Run& run, const Value& input, Args arguments) {
  arguments.check("sum", {"attribute", "start"});
  const Value* attribute = arguments.find(0, "attribute");
  const Value* start = arguments.find(1, "start");
  Value total = start == nullptr ? Value::integer(0) : *start;
  for (const Value& item : items_of(run, input)) {
    const bool whole = attribute == nullptr || attribute->is(Kind::none);
    total = calculate(run, Binary::Sign::add, total, whole ? item : get_path(run, item, *attribute));
  }
  return total;
}

Value batch(Run& run, const Value& input, Args arguments) {
  const std::int64_t size = arguments.whole(0, "linecount", 0);
  if (size <= 0) fail("batch needs a size of at least 1");
  const Value* fill = arguments.find(1, "fill_with");
  Values all, row;
  const Values from = items_of(run, input);
  const auto close = [&] { all.push_back(make_list(std::exchange(row, {}), &run.budget)); };
  for (const Value& item : from) {
    row.push_back(item);
    if (static_cast<std::int64_t>(row.size()) == size) close();
  }
  if (row.empty()) return make_list(std::move(all), &run.budget, Origin::written, List::Form::generator);
  const bool filled = fill != nullptr && !fill->is(Kind::none);
  while (filled && static_cast<std::int64_t>(row.size()) < size) {
    run.budget.step();
    row.push_back(*fill);
  }
  close();
  return make_list(std::move(all), &run.budget, Origin::written, List::Form::generator);
}

Value default_to(Run& run, const Value& input, Args arguments) {
  arguments.check("default", {"default_value", "boolean"});
  const bool replaced = input.is(Kind::undefined) || (arguments.flag(1, "boolean", false) && !truthy(input));
  if (!replaced) return input;
  const Value* otherwise = arguments.find(0, "default_value");
  return otherwise == nullptr ? run.string("", Origin::written) : *otherwise;
}

/// A number that a text says, as Python's float() reads it.
std::optional<double> read_real(const Text& text, Budget& budget) {
  const std::string word = stripped(text, nullptr, {}, budget).bytes();
  double number = 0;
  const char* begin = word.data() + (word.starts_with('+') ? 1 : 0);
  const auto read = std::from_chars(begin, word.data() + word.size(), number);
  if (read.ec != std::errc{} || read.ptr != word.data() + word.size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> read_whole(const Text& text, int base, Budget& budget) {
  const std::string word = stripped(text, nullptr, {}, budget).bytes();
  std::int64_t number = 0;
  const char* begin = word.data() + (word.starts_with('+') ? 1 : 0);
  const auto read = std::from_chars(begin, word.data() + word.size(), number, base);
  if (read.ec != std::errc{} || read.ptr != word.data() + word.size()) return std::nullopt;
  return number;
}

Value to_whole(Run& run, const Value& input, Args arguments) {
  arguments.check("int", {"default", "base"});
  const std::int64_t base = arguments.whole(1, "base", 10);
  if (base < 2 || base > 36) fail("int() base must be >= 2 and <= 36");
  std::optional<double> real;
  const Origin origin = input.is(Kind::string) ? input.text().origin() : input.origin();
  if (input.is_whole()) return Value::integer(input.whole(), origin);
  if (input.is(Kind::real)) real = input.number();
  if (input.is(Kind::string)) {
    if (const auto whole = read_whole(input.text(), static_cast<int>(base), run.budget))
      return Value::integer(*whole, origin);
    real = read_real(input.text(), run.budget);
  }
  if (real && std::abs(*real) < 9.2e18) return Value::integer(static_cast<std::int64_t>(*real), origin);
  const Value* otherwise = arguments.find(0, "default");
  return otherwise == nullptr ? Value::integer(0) : *otherwise;
}

Value to_real(Run& run, const Value& input, Args arguments) {
  arguments.check("float", {"default"});
  if (input.is_number()) return Value::real(input.number(), input.origin());
  if (input.is(Kind::string)) {
    if (const auto real = read_real(input.text(), run.budget)) return Value::real(*real, input.text().origin());
  }
  const Value* otherwise = arguments.find(0, "default");
  return otherwise == nullptr ? Value::real(0) : *otherwise;
}

Value round(Run& /*run*/, const Value& input, Args arguments) {
  arguments.check("round", {"precision", "method"});
  if (!input.is_number()) fail("type " + std::string(type_name(input)) + " doesn't define __round__ method");
  const Text* method = arguments.text(1, "method");
  const std::int64_t precision = std::clamp<std::int64_t>(arguments.whole(0, "precision", 0), -300, 300);
  const double factor = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.number() * factor;
  const std::string how = method == nullptr ? "common" : method->bytes();
  if (how != "common" && how != "ceil" && how != "floor") fail("method must be common, ceil or floor");
  if (how == "common" && input.is_whole() && precision >= 0) return Value::integer(input.whole(), input.origin());
  const double rounded = how == "ceil"    ? std::ceil(scaled)
                         : how == "floor" ? std::floor(scaled)
                                          : std::nearbyint(scaled);
  return Value::real(rounded / factor, input.origin());
}

Value absolute(Run& run, const Value& input, Args /*arguments*/) {
  if (!input.is_number()) fail("bad operand type for abs(): '" + std::string(type_name(input)) + "'");
  return input.number() < 0 ? calculate(run, Binary::Sign::subtract, Value::integer(0), input) : input;
}

constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
    {"abs", absolute},
    {"attr", [](Run& r, const Value& v, Args a) { return get_attribute(r, v, a.required("attr", 0, "name").bytes()); }},
    {"batch", batch},
    {"count", length},
    {"d", default_to},
    {"default", default_to},
    {"dictsort", dict_sort},
    {"first", first},
    {"float", to_real},
    {"int", to_whole},
    {"items", items},
    {"last", last},
    {"length", length},
    {"list", list},
    {"max", [](Run& r, const Value& v, Args a) { return extreme(r, v, a, true); }},
    {"min", [](Run& r, const Value& v, Args a) { return extreme(r, v, a, false); }},
    {"reverse", reverse},
    {"round", round},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

FilterFunction find_list_filter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, [](const auto& entry) { return entry.first; });
  return found == std::end(kFilters) ? nullptr : found->second;
}

}  // namespace headwater::model::jinja
