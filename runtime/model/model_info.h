#pragma once
// What a model file is, in words: the text of `headwater model info FILE`.

#include <cstdint>
#include <string>

#include "model/gguf.h"

namespace headwater::model {

/// Lines of "label  value", ending in a newline. Reads the header alone, so it describes files of architectures that
/// cannot be run, too; what a file does not say is "not given". Safe to print whatever the file contains.
std::string describe_model(const GgufFile& file);

/// 134515008 → "134,515,008".
std::string with_commas(std::uint64_t number);
/// 98362432 → "93.8 MiB".
std::string readable_bytes(std::uint64_t bytes);

}  // namespace headwater::model
