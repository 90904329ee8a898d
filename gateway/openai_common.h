#pragma once
// What OpenAI's two completion APIs share.

#include "gateway/generate_call.h"
#include "gateway/json_fields.h"

namespace headwater::gateway {

/// Reads model, n, best_of, stream, stream_options, cache_salt, timeout and the sampling fields; names the fields
/// that have no effect here and those that are refused.
void read_common(Fields& fields, const ModelInfo& model, GenerateCall& call);

/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}. A prompt counts once,
/// however many choices it has.
Json usage_json(const GenerateCall& call, std::span<const Choice> choices);

/// The usage of a chunk before the last one, where asked for: null, or with `continuous_usage_stats` that of its choice
/// so far.
void add_usage(const GenerateCall& call, const Choice& choice, Json& chunk);

/// "stop" or "length".
std::string_view finish_name(FinishReason reason);

/// id, object, created and model of an answer or chunk, with its choices.
Json answer_json(const GenerateCall& call, std::string_view object, Json choices);

}  // namespace headwater::gateway
