#pragma once
// What stands in a value: items, attributes, slices, and the rows that loops and filters go through.
//
// Threading: one caller at a time for a run.

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/jinja/run.h"
#include "model/jinja/value.h"

namespace headwater::model::jinja {

/// object.name: a method or an attribute first, then an item.
Value get_attribute(Run& run, const Value& object, std::string_view name);
/// object[key]: an item first, then an attribute.
Value get_item(Run& run, const Value& object, const Value& key);
/// object[begin:end:step]; what is None counts as left out.
Value get_slice(Run& run, const Value& object, const Value& begin, const Value& end, const Value& step);
/// "a.b.0" from within an object, as filters take it; a whole number is a place. `otherwise`: what stands for a part
/// that is missing; null: undefined.
Value get_path(Run& run, const Value& object, const Value& path, const Value* otherwise = nullptr);

/// What a loop goes through: a list's items, a dict's keys, a string's characters. Throws where it is none of them.
Values items_of(Run& run, const Value& value);
/// Python's len(); none: it has no length.
std::optional<std::size_t> length_of(const Value& value);
/// Python's `in`.
bool contains(Run& run, const Value& container, const Value& item);

}  // namespace headwater::model::jinja
