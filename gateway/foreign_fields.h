#pragma once
// What clients send to other servers (vLLM, llama.cpp, SGLang, TGI, LMDeploy, Ollama and the programs in front of them)
// and so to this one. What has a meaning here is read under its names there by those who read it here; this is the
// rest.

#include "gateway/json_fields.h"
#include "headwater/request.h"

namespace headwater::gateway {

/// Accepts what has no effect here, and refuses by name what would change the answer and is set to do so.
/// REQUIRES: `params` have been read.
void read_foreign(Fields& fields, const SamplingParams& params);

}  // namespace headwater::gateway
