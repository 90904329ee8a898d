#include "gateway/answer_size.h"

#include <algorithm>

namespace headwater::gateway {
namespace {

// Measured: 64 prompts of 500 ids with 16 choices and 20 alternatives took 2.4 GB.
constexpr std::uint64_t kPositionBytes = 400;
constexpr std::uint64_t kAlternativeBytes = 200;
/// In a chat each alternative is an object that lists its bytes.
constexpr std::uint64_t kChatAlternativeBytes = 600;
constexpr std::uint64_t kTokenTextBytes = 16;

/// Tokens that a prompt may have: of text, one a byte and a BOS.
std::uint64_t most_tokens(const Prompt& prompt, const ModelInfo& model) {
  std::uint64_t tokens = model.context_length;
  if (const auto* text = std::get_if<std::string>(&prompt)) tokens = text->size() + 1;
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) tokens = ids->size();
  return std::min<std::uint64_t>(tokens, model.context_length);
}

std::uint64_t scores_bytes(const Prompt& prompt, const SamplingParams& params, const ModelInfo& model) {
  if (!params.prompt_logprobs) return 0;
  return most_tokens(prompt, model) * (kPositionBytes + *params.prompt_logprobs * kAlternativeBytes);
}

/// Of one choice's generated tokens.
std::uint64_t generated_bytes(const GenerateCall& call, const ModelInfo& model) {
  const SamplingParams& params = call.base.params;
  const std::uint64_t tokens = std::min(params.max_tokens.value_or(model.context_length), model.context_length);
  if (!params.logprobs) return tokens * kTokenTextBytes;
  const bool chat = std::holds_alternative<std::vector<ChatMessage>>(call.prompts.front());
  return tokens * (kPositionBytes + *params.logprobs * (chat ? kChatAlternativeBytes : kAlternativeBytes));
}

Error too_large(std::uint64_t bytes, std::uint64_t limit, std::string param) {
  constexpr std::uint64_t kMiB = 1 << 20;
  return {ErrorCode::invalid_request,
          "the answer may take " + std::to_string((bytes + kMiB - 1) / kMiB) + " MiB; this server makes at most " +
              std::to_string(limit / kMiB) +
              " in one call. Ask for fewer log-probabilities, choices, tokens or prompts",
          std::move(param)};
}

}  // namespace

std::uint64_t answer_bytes(const GenerateCall& call, const ModelInfo& model) {
  std::uint64_t bytes = 0;
  for (const Prompt& prompt : call.prompts) {
    bytes += call.n * scores_bytes(prompt, call.base.params, model);
    const auto* text = std::get_if<std::string>(&prompt);
    if (call.echo && text != nullptr) bytes += call.n * text->size();
  }
  if (!call.stream) bytes += call.choices() * generated_bytes(call, model);
  return bytes;
}

Result<void> check_answer_size(const GenerateCall& call, const ModelInfo& model, std::uint64_t limit) {
  const std::uint64_t bytes = answer_bytes(call, model);
  if (bytes <= limit) return {};
  return too_large(bytes, limit, call.base.params.logprobs ? "logprobs" : call.n > 1 ? "n" : "max_tokens");
}

Result<void> check_answer_size(const Request& request, const ModelInfo& model, std::uint64_t limit) {
  const std::uint64_t bytes = scores_bytes(request.prompt, request.params, model);
  if (bytes <= limit) return {};
  return too_large(bytes, limit, "params.prompt_logprobs");
}

}  // namespace headwater::gateway
