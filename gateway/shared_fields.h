#pragma once
// The fields that every dialect has, with the same names and meaning.

#include "gateway/json_fields.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

/// Most tokens that a request may ask for.
inline constexpr std::uint32_t kMaxTokens = 1'000'000;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 256;
inline constexpr std::size_t kMaxStopTokens = 64;
inline constexpr std::size_t kMaxBiases = 1024;
/// Longest timeout of a request: a day.
inline constexpr std::uint32_t kMaxTimeoutMs = 86'400'000;

/// Most ids that are turned into text in one call.
inline constexpr std::size_t kMaxDetokenized = 1 << 18;

/// A body or a frame, of no more values than a request for this model may need: the ids of as many prompts as there may
/// be, or those that are turned into text. Errors: as parse_json(); a prompt with more is "context_length_exceeded".
Result<JsonDocument> parse_request(std::string_view text, const ModelInfo& model);

Error unknown_model(std::string_view wanted, const ModelInfo& model);

/// `model`, which need not be there; another one than ours is an error.
void read_model(Fields& fields, const ModelInfo& model);

/// A list of ids that the context has no room for. `name`: its path.
Error too_many_ids(const Json& ids, const std::string& name, const ModelInfo& model);

/// Reads temperature, top_p, top_k, min_p, the penalties, logit_bias, seed, stop, stop_token_ids, min_tokens and
/// ignore_eos, under their names of other servers too, and what else other servers take (see foreign_fields.h). Not
/// max_tokens and logprobs, which the dialects define differently.
void read_sampling(Fields& fields, SamplingParams& params);

/// `max_tokens`, from `least` on, under all its names; the newer of OpenAI's counts first.
void read_max_tokens(Fields& fields, SamplingParams& params, std::uint32_t least);

/// Exactly one of `prompt`, `messages` and `prompt_ids`.
void read_prompt(Fields& fields, const ModelInfo& model, Request& request);

/// `timeout`, in seconds with a fraction.
void read_timeout(Fields& fields, Request& request);

}  // namespace headwater::gateway
