#pragma once
// What + - * / // % ** < == and `in` do, as Python does it.
//
// Threading: one caller at a time for a run.

#include "model/jinja/syntax.h"

namespace headwater::model::jinja {

/// REQUIRES: `sign` is none of both and any, which look at their right side only where they must.
Value calculate(Run& run, Binary::Sign sign, const Value& left, const Value& right);
bool compare(Run& run, Compared::Sign sign, const Value& left, const Value& right);
/// Negative, 0 or positive. Throws where there is no order between them. `sign`: as the error names it.
int order(Run& run, const Value& left, const Value& right, const char* sign = "<");

}  // namespace headwater::model::jinja
