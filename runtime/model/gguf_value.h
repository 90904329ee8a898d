#pragma once
// What a metadata value is, in words, for messages that say what was found.

#include <string>

#include "model/gguf.h"

namespace headwater::model {

/// `12`, `true`, `"abc"`, `an array of 3 strings`.
std::string describe_value(const GgufValue& value);

/// `is missing`, or `is` and what it is.
std::string found_value(const GgufValue* value);

}  // namespace headwater::model
