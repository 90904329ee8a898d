#pragma once
// Reads a whole template.
//
// Threading: functions without state.

#include <vector>

#include "model/jinja/lexer.h"
#include "model/jinja/syntax.h"

namespace headwater::model::jinja {

/// Throws Failure (syntax) with a line.
Body read_statements(std::vector<Token> tokens);

}  // namespace headwater::model::jinja
