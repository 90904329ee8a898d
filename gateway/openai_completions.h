#pragma once
// POST /v1/completions: JSON in, GenerateCall out; and its answers.

#include "gateway/generate_call.h"
#include "gateway/json_fields.h"

namespace headwater::gateway {

/// `echo_texts` is left to the caller, who can turn ids into text. `ignored`: as parse_chat() has it.
Result<GenerateCall> parse_completion(const Json& body, const ModelInfo& model, IgnoredFields* ignored = nullptr);

const Dialect& completions_dialect();

}  // namespace headwater::gateway
