#pragma once
// A text for measurements where none is given.

#include <string_view>

namespace headwater::eval {

/// English prose, a dialogue, an explanation, code, a table and numbers: about 1,000 tokens.
extern const std::string_view kSampleText;

}  // namespace headwater::eval
