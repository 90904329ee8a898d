#pragma once
// Python's two ways to put values into a text: "%s" % x and "{}".format(x).
//
// Threading: one caller at a time for a run.

#include "model/jinja/callable.h"
#include "model/jinja/run.h"

namespace headwater::model::jinja {

/// Knows %s, %r, %d, %i, %f, %e, %g, %x, %o, %c and %%, with flags, width and precision. Throws what Python would.
Text format_percent(Run& run, const Text& form, const Values& values);
/// Knows {}, {0}, {name}, {{ and }}, with !r and :specifications of fill, width, precision and type.
Text format_braces(Run& run, const Text& form, const Arguments& arguments);

}  // namespace headwater::model::jinja
