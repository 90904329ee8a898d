#include <string>

#include "model/sampler.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxStopBytes = 256;
constexpr std::size_t kMaxStopTokens = 64;
constexpr std::size_t kMaxBiases = 1024;
constexpr std::uint32_t kMaxTokens = 1'000'000;

Error bad(const std::string& field, const std::string& what) {
  return {ErrorCode::invalid_request, field + " " + what, field};
}

/// NaN is outside of every range.
Result<void> check_range(const char* field, float value, float low, float high, bool low_is_open = false) {
  const bool inside = low_is_open ? value > low && value <= high : value >= low && value <= high;
  if (inside) return {};
  const auto number = [](float x) {
    std::string text = std::to_string(x);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  };
  return bad(field, "is " + number(value) + "; it must be " + (low_is_open ? "greater than " : "at least ") +
                        number(low) + " and at most " + number(high));
}

Result<void> check_stops(const SamplingParams& params, std::uint32_t vocab_size) {
  if (params.stop.size() > kMaxStops) return bad("stop", "has more than 16 strings");
  for (const std::string& stop : params.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) return bad("stop", "has a string that is not 1 to 256 bytes long");
    if (!valid_utf8(stop)) return bad("stop", "has a string that is not valid UTF-8");
  }
  if (params.stop_token_ids.size() > kMaxStopTokens) return bad("stop_token_ids", "has more than 64 ids");
  for (TokenId id : params.stop_token_ids) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= vocab_size) {
      return bad("stop_token_ids", "has the id " + std::to_string(id) + ", which is not in the vocabulary");
    }
  }
  return {};
}

Result<void> check_lengths(const SamplingParams& params) {
  if (params.max_tokens) {
    const bool scoring = *params.max_tokens == 0 && params.prompt_logprobs.has_value();
    if ((*params.max_tokens == 0 && !scoring) || *params.max_tokens > kMaxTokens) {
      return bad("max_tokens",
                 "is " + std::to_string(*params.max_tokens) +
                     "; it must be at least 1 and at most 1000000 (0 only to score a prompt with logprobs)");
    }
    if (params.min_tokens > *params.max_tokens) return bad("min_tokens", "is greater than max_tokens");
  }
  if (params.min_tokens > kMaxTokens) return bad("min_tokens", "is greater than 1000000");
  if (params.logprobs.value_or(0) > kMaxLogprobs) return bad("logprobs", "is greater than 20");
  if (params.prompt_logprobs.value_or(0) > kMaxLogprobs) return bad("prompt_logprobs", "is greater than 20");
  return {};
}

Result<void> check_biases(const SamplingParams& params, std::uint32_t vocab_size) {
  if (params.logit_bias.size() > kMaxBiases) return bad("logit_bias", "has more than 1024 entries");
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= vocab_size) {
      return bad("logit_bias", "has the id " + std::to_string(id) + ", which is not in the vocabulary");
    }
    if (!(bias >= -100 && bias <= 100)) return bad("logit_bias", "has a value outside of -100 … 100");
  }
  return {};
}

}  // namespace

Result<void> check_params(const SamplingParams& params, std::uint32_t vocab_size) {
  for (const Result<void>& checked :
       {check_range("temperature", params.temperature, 0, 100), check_range("top_p", params.top_p, 0, 1, true),
        check_range("min_p", params.min_p, 0, 1),
        check_range("repetition_penalty", params.repetition_penalty, 0, 10, true),
        check_range("presence_penalty", params.presence_penalty, -2, 2),
        check_range("frequency_penalty", params.frequency_penalty, -2, 2), check_lengths(params),
        check_biases(params, vocab_size), check_stops(params, vocab_size)}) {
    if (!checked) return checked;
  }
  return {};
}

}  // namespace headwater::model
