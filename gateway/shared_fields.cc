#include "gateway/shared_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "gateway/foreign_fields.h"
#include "gateway/generate_call.h"
#include "gateway/openai_chat.h"
#include "headwater/context_limit.h"

namespace headwater::gateway {
namespace {

bool read_stop_string(Fields& fields, const Json& item, const std::string& name, std::vector<std::string>& out) {
  if (!item.is_string()) {
    fields.fail_type(name, "a string", item);
    return false;
  }
  const auto& text = item.get_ref<const std::string&>();
  if (text.empty() || text.size() > kMaxStopBytes) {
    fields.fail(name, in_quotes(fields.path(name)) + " must have 1 to " + std::to_string(kMaxStopBytes) +
                          " bytes, and has " + std::to_string(text.size()));
    return false;
  }
  out.push_back(text);
  return true;
}

void read_stop(Fields& fields, std::vector<std::string>& out) {
  const std::string name(fields.first_of({"stop", "stop_sequences", "stopping_strings"}));
  const Json* stop = fields.value(name);
  if (stop == nullptr) return;
  if (stop->is_string()) {
    // An empty string stops nothing; some clients send it for "none".
    if (!stop->get_ref<const std::string&>().empty()) read_stop_string(fields, *stop, name, out);
    return;
  }
  if (!stop->is_array()) {
    return fields.fail_type(name, "a string or a list of strings", *stop);
  }
  if (stop->size() > kMaxStops) {
    return fields.fail(name, in_quotes(fields.path(name)) + " may list at most " + std::to_string(kMaxStops) +
                                 " strings, and lists " + std::to_string(stop->size()));
  }
  for (const Json& item : *stop) {
    if (!read_stop_string(fields, item, name + "[" + std::to_string(out.size()) + "]", out)) return;
  }
}

/// The most probable token alone is what no share of the probability leaves.
void read_top_p(Fields& fields, SamplingParams& params) {
  fields.read("top_p", params.top_p, Range{0, 1});
  if (params.top_p > 0) return;
  params.top_p = 1;
  params.top_k = 1;
}

void read_seed(Fields& fields, std::optional<std::uint64_t>& seed) {
  const auto name = fields.first_of({"seed", "random_seed"});
  const Json* value = fields.value(name);
  // -1: any, as others write it. The largest seed of 64 bits has the same bits.
  const bool any = value != nullptr && !value->is_number_unsigned() && *value == -1;
  if (!any) fields.read_bits(name, seed);
}

std::optional<TokenId> parse_id(std::string_view text) {
  TokenId id = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (failure != std::errc{} || end != text.data() + text.size() || id < 0 || text != std::to_string(id)) return {};
  return id;
}

void read_logit_bias(Fields& fields, std::vector<std::pair<TokenId, float>>& out) {
  const Json* biases = fields.value("logit_bias");
  if (biases == nullptr) return;
  if (!biases->is_object()) {
    return fields.fail_type("logit_bias", "an object of token ids and numbers", *biases);
  }
  if (biases->size() > kMaxBiases) {
    return fields.fail("logit_bias", in_quotes(fields.path("logit_bias")) + " may have at most " +
                                         std::to_string(kMaxBiases) + " entries");
  }
  for (const auto& [key, bias] : biases->items()) {
    const std::string name = "logit_bias." + key.substr(0, 32);
    const auto id = parse_id(key);
    if (!id) return fields.fail(name, in_quotes(fields.path(name)) + " is not a token id: a whole number from 0");
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= 100)) {
      return fields.fail(name, in_quotes(fields.path(name)) + " must be a number from -100 to 100");
    }
    out.emplace_back(*id, bias.get<float>());
  }
}

void read_prompt_ids(Fields& fields, const ModelInfo& model, std::vector<TokenId>& out) {
  const Json* ids = fields.value("prompt_ids");
  if (ids->is_array() && ids->size() > model.context_length) {
    return fields.fail(too_many_ids(*ids, fields.path("prompt_ids"), model));
  }
  fields.read("prompt_ids", out, model.context_length);
}

}  // namespace

Result<JsonDocument> parse_request(std::string_view text, const ModelInfo& model) {
  constexpr std::size_t kOthers = 1 << 16;
  const std::size_t most = std::max(kMaxPrompts * model.context_length, kMaxDetokenized) + kOthers;
  auto parsed = parse_json(text, most);
  if (parsed) return parsed;
  const Error& error = parsed.error();
  const bool prompt = error.param == "prompt" || error.param == "prompt_ids";
  if (error.code != ErrorCode::payload_too_large || !prompt) return parsed;
  return context_exceeded(model.context_length,
                          in_quotes(error.param) + " has more than " + std::to_string(most - kOthers) + " tokens",
                          error.param);
}

Error unknown_model(std::string_view wanted, const ModelInfo& model) {
  std::string message = "the model " + in_quotes(wanted.substr(0, 128)) + " does not exist; this server has ";
  message += in_quotes(model.name);
  return {ErrorCode::model_not_found, message, "model"};
}

Error too_many_ids(const Json& ids, const std::string& name, const ModelInfo& model) {
  return context_exceeded(model.context_length, in_quotes(name) + " has " + std::to_string(ids.size()) + " tokens",
                          name);
}

void read_model(Fields& fields, const ModelInfo& model) {
  std::string wanted = model.name;
  fields.read("model", wanted);
  if (wanted != model.name) fields.fail(unknown_model(wanted, model));
}

void read_sampling(Fields& fields, SamplingParams& params) {
  constexpr float kTop = 1.0F;
  fields.read("temperature", params.temperature, Range{0, 100});
  fields.read("min_p", params.min_p, Range{0, kTop});
  fields.read(fields.first_of({"repetition_penalty", "repeat_penalty"}), params.repetition_penalty, Range{0, 10, true});
  fields.read("presence_penalty", params.presence_penalty, Range{-2, 2});
  fields.read("frequency_penalty", params.frequency_penalty, Range{-2, 2});
  if (const Json* top_k = fields.value("top_k"); top_k != nullptr && *top_k == -1) {  // off, as others write it
    params.top_k = 0;
  } else {
    fields.read("top_k", params.top_k, 0, std::numeric_limits<std::int32_t>::max());
  }
  read_top_p(fields, params);
  read_seed(fields, params.seed);
  fields.read(fields.first_of({"min_tokens", "min_new_tokens"}), params.min_tokens, 0, kMaxTokens);
  fields.read("ignore_eos", params.ignore_eos);
  fields.read("stop_token_ids", params.stop_token_ids, kMaxStopTokens);
  read_stop(fields, params.stop);
  read_logit_bias(fields, params.logit_bias);
  read_foreign(fields, params);
}

void read_max_tokens(Fields& fields, SamplingParams& params, std::uint32_t least) {
  const auto name =
      fields.first_of({"max_completion_tokens", "max_tokens", "max_new_tokens", "n_predict", "num_predict"});
  const Json* value = fields.value(name);
  const bool unlimited = value != nullptr && name.ends_with("_predict") && (*value == -1 || *value == -2);
  if (unlimited) {
    params.max_tokens.reset();
  } else {
    fields.read(name, params.max_tokens, least, kMaxTokens);
  }
}

void read_prompt(Fields& fields, const ModelInfo& model, Request& request) {
  const bool text = fields.value("prompt") != nullptr;
  const bool ids = fields.value("prompt_ids") != nullptr;
  const bool messages = fields.value("messages") != nullptr;
  if (text + ids + messages != 1) {
    return fields.fail("prompt", "exactly one of \"prompt\", \"messages\" and \"prompt_ids\" must be there");
  }
  if (text) fields.read("prompt", request.prompt.emplace<std::string>());
  if (ids) read_prompt_ids(fields, model, request.prompt.emplace<std::vector<TokenId>>());
  if (!messages) return refuse_chat_options(fields);
  read_messages(fields, request.prompt.emplace<std::vector<ChatMessage>>());
  read_chat_options(fields, request.chat);
}

void read_timeout(Fields& fields, Request& request) {
  float seconds = 0;
  fields.read("timeout", seconds, Range{0, kMaxTimeoutMs / 1000.0, true});
  if (seconds > 0) request.timeout_ms = std::max(1U, static_cast<std::uint32_t>(std::lround(seconds * 1000.0)));
}

}  // namespace headwater::gateway
