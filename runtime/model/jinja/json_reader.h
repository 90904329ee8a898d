#pragma once
// JSON as values of a template, in the order of its keys, which templates write out.
//
// Threading: one caller at a time for a budget.

#include <string_view>

#include "headwater/result.h"
#include "model/jinja/value.h"

namespace headwater::model::jinja {

/// All of it is data. Whole numbers beyond 64 bits become floats. Error "invalid_json": what is no JSON (RFC 8259), or
/// nested deeper than 64, with its place.
Result<Value> read_json(std::string_view text, Budget* budget);

}  // namespace headwater::model::jinja
