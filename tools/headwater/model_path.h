#pragma once
// Model files as a person names them, and the way out where one is not there.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "headwater/result.h"
#include "model/gguf.h"

namespace headwater::tools {

/// The folder with what `model pull` runs and the catalogue of what it fetches: installed, or beside the build.
std::optional<std::string> models_folder();

/// Error: there is no file `path`, or it is a folder: what is there of nearly that name, and what can be fetched.
Result<void> check_model_path(const std::string& path);

/// GgufFile::open(), with those errors.
Result<std::shared_ptr<const model::GgufFile>> open_model(const std::string& path);

/// A model::Tell: a line on the standard error.
void tell(bool warning, const std::string& sentence);

/// Tells that more compute threads were asked for than pay, where that is so.
void warn_of_threads(std::uint32_t asked);

}  // namespace headwater::tools
