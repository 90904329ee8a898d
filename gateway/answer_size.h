#pragma once
// How much memory the answers of a call may take while they are made, told before anything is computed.

#include "gateway/generate_call.h"

namespace headwater::gateway {

/// Bytes, an upper bound: log-probabilities as values and as JSON, and text. What is streamed is not kept, but for the
/// scores of prompts, which come at once.
std::uint64_t answer_bytes(const GenerateCall& call, const ModelInfo& model);

/// Error: "invalid_request", with the way out, where that is more than `limit`.
Result<void> check_answer_size(const GenerateCall& call, const ModelInfo& model, std::uint64_t limit);
/// The same for a request whose answer is streamed.
Result<void> check_answer_size(const Request& request, const ModelInfo& model, std::uint64_t limit);

}  // namespace headwater::gateway
