#include "gateway/openai_chat.h"

#include "gateway/cache_fields.h"
#include "gateway/openai_common.h"
#include "gateway/shared_fields.h"
#include "gateway/token_text.h"

namespace headwater::gateway {
namespace {

void read_logprobs(Fields& fields, SamplingParams& params) {
  bool wanted = false;
  std::uint32_t top = 0;
  fields.read("logprobs", wanted);
  fields.read("top_logprobs", top, 0, kMaxLogprobs);
  if (top > 0 && !wanted) fields.fail("top_logprobs", "\"top_logprobs\" needs \"logprobs\": true");
  if (wanted) params.logprobs = top;
}

void read_modalities(Fields& fields) {
  const Json* modalities = fields.value("modalities");
  if (modalities == nullptr || *modalities == Json::array({"text"})) return;
  fields.fail("modalities", "\"modalities\" other than [\"text\"] are not supported by this server",
              ErrorCode::unsupported_parameter);
}

Json token_json(const TokenLogprob& token, bool by_id) {
  Json bytes = Json::array();
  for (const char c : token.bytes) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token_name(token, by_id)}, {"logprob", finite_logprob(token.logprob)}, {"bytes", bytes}};
}

Json logprobs_json(std::span<const PositionLogprobs> positions, bool by_id) {
  Json content = Json::array();
  for (const PositionLogprobs& position : positions) {
    Json entry = token_json(position.chosen, by_id);
    entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& token : position.top) entry["top_logprobs"].push_back(token_json(token, by_id));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

class ChatDialect : public Dialect {
 public:
  std::string_view id_prefix() const override { return "chatcmpl-"; }

  Json whole(const GenerateCall& call, std::span<Choice> choices) const override {
    Json list = Json::array();
    for (const Choice& choice : choices) {
      Json entry = {{"index", choice.index},
                    {"message", {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}}},
                    {"finish_reason", finish_name(choice.finish_reason)},
                    {"stop_reason", stop_reason(choice)}};
      entry["logprobs"] = call.base.params.logprobs ? logprobs_json(choice.logprobs, call.tokens_by_id) : Json(nullptr);
      list.push_back(std::move(entry));
    }
    Json answer = answer_json(call, "chat.completion", std::move(list));
    answer["usage"] = usage_json(call, choices);
    return answer;
  }

  Json opening(const GenerateCall& call, Choice& choice) const override {
    return chunk(call, choice, {{"index", choice.index}, {"delta", {{"role", "assistant"}, {"content", ""}}}});
  }

  Json delta(const GenerateCall& call, Choice& choice, const TokenEvent& event) const override {
    if (event.kind != TokenEvent::Kind::tokens || (event.text.empty() && event.logprobs.empty())) return nullptr;
    Json entry = {{"index", choice.index}, {"delta", {{"content", event.text}}}};
    if (call.base.params.logprobs) entry["logprobs"] = logprobs_json(event.logprobs, call.tokens_by_id);
    return chunk(call, choice, std::move(entry));
  }

  Json closing(const GenerateCall& call, Choice& choice) const override {
    return chunk(call, choice,
                 {{"index", choice.index},
                  {"delta", Json::object()},
                  {"finish_reason", finish_name(choice.finish_reason)},
                  {"stop_reason", stop_reason(choice)}});
  }

  Json usage_chunk(const GenerateCall& call, std::span<const Choice> choices) const override {
    Json answer = answer_json(call, "chat.completion.chunk", Json::array());
    answer["usage"] = usage_json(call, choices);
    return answer;
  }

 private:
  static Json stop_reason(const Choice& choice) {
    return choice.stop_match.empty() ? Json(nullptr) : Json(choice.stop_match);
  }

  static Json chunk(const GenerateCall& call, const Choice& choice, Json entry) {
    if (!entry.contains("finish_reason")) entry["finish_reason"] = nullptr;
    if (!entry.contains("logprobs")) entry["logprobs"] = nullptr;
    Json answer = answer_json(call, "chat.completion.chunk", Json::array({std::move(entry)}));
    add_usage(call, choice, answer);
    return answer;
  }
};

}  // namespace

Result<GenerateCall> parse_chat(const Json& body, const ModelInfo& model, IgnoredFields* ignored,
                                std::string_view text) {
  if (!body.is_object()) return Error{ErrorCode::invalid_request, "the body must be a JSON object", ""};
  GenerateCall call;
  std::vector<ChatMessage> messages;
  Fields fields(body, "", ignored);
  fields.read_from(text);
  read_common(fields, model, call);
  read_messages(fields, messages);
  read_chat_options(fields, call.base.chat);
  read_session(fields, call.base.session);
  read_max_tokens(fields, call.base.params, 1);
  read_logprobs(fields, call.base.params);
  read_modalities(fields);
  fields.read("return_tokens_as_token_ids", call.tokens_by_id);
  fields.read("add_generation_prompt", call.base.chat.open_answer);
  fields.refuse({"audio", "prediction", "web_search_options", "verbosity", "moderation", "echo", "prompt_logprobs",
                 "add_special_tokens"});
  if (auto read = fields.finish(); !read) return read.error();
  call.prompts.emplace_back(std::move(messages));
  return call;
}

const Dialect& chat_dialect() {
  static const ChatDialect dialect;
  return dialect;
}

}  // namespace headwater::gateway
