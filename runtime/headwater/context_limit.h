#pragma once
// What is said of a prompt that is too long: in one form everywhere, since clients look for its first words (they are
// OpenAI's, and e.g. LiteLLM falls back to another model by them).

#include <cstdint>
#include <string>
#include <utility>

#include "headwater/result.h"

namespace headwater {

/// `limit`: tokens of prompt and answer that are served. `why`: goes on after "However, ", without its full stop.
inline Error context_exceeded(std::uint64_t limit, const std::string& why, std::string param) {
  return {ErrorCode::context_length_exceeded,
          "This model's maximum context length is " + std::to_string(limit) + " tokens. However, " + why + ".",
          std::move(param)};
}

}  // namespace headwater
