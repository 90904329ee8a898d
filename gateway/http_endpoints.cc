#include "gateway/http_endpoints.h"

#include <cmath>

#include "gateway/openai_chat.h"
#include "gateway/shared_fields.h"

namespace headwater::gateway {
namespace {

/// Most text that is turned into ids in one call: it takes a moment, and its answer several times the memory.
constexpr std::size_t kMaxTokenizedBytes = 1 << 20;

/// As a person would write it: 0.6, not 0.6000000238418579.
double short_number(float value) { return std::round(double{value} * 1e6) / 1e6; }

Json model_json(const ModelInfo& model) {
  const SamplingParams& sampling = model.sampling;
  return {{"id", model.name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "headwater"},
          {"max_model_len", model.context_length},
          {"default_sampling",
           {{"temperature", short_number(sampling.temperature)},
            {"top_k", sampling.top_k},
            {"top_p", short_number(sampling.top_p)},
            {"min_p", short_number(sampling.min_p)}}}};
}

HttpResponse reply_to(Result<Json> answer) {
  return answer ? json_reply(std::move(*answer)) : error_reply(answer.error());
}

Result<Json> answer_body(Hub& hub, Endpoint endpoint, std::string_view text) {
  const auto body = parse_request(text, hub.model);
  if (!body) return body.error();
  if (!body->is_object()) return Error{ErrorCode::invalid_request, "the body must be a JSON object", ""};
  IgnoredFields ignored;
  IgnoredFields* const lenient = hub.options.strict_fields ? nullptr : &ignored;
  auto answer = endpoint == Endpoint::tokenize ? tokenize(hub.runtime, hub.model, *body, lenient, text)
                                               : detokenize(hub.runtime, hub.model, *body, lenient);
  hub.unknown_fields.tell(ignored);
  return answer;
}

HttpResponse end_session(Hub& hub, const std::string& tenant, const std::string& session) {
  if (const auto ended = hub.end_session(tenant, session); !ended) return error_reply(ended.error());
  return json_reply({{"id", session}, {"object", "session"}, {"deleted", true}});
}

HttpResponse ready(Hub& hub) {
  if (hub.runtime.draining() || !hub.accepting) {
    return error_reply({ErrorCode::draining, "the server is shutting down and accepts nothing more", ""});
  }
  return json_reply({{"status", "ready"}, {"model", hub.model.name}});
}

Result<void> check_text(std::size_t bytes, const char* param) {
  if (bytes <= kMaxTokenizedBytes) return {};
  return Error{ErrorCode::payload_too_large,
               in_quotes(param) + " has " + std::to_string(bytes) + " bytes; at most " +
                   std::to_string(kMaxTokenizedBytes) + " are tokenized in one call. Send it in parts",
               param};
}

}  // namespace

Result<Json> tokenize(const Runtime& runtime, const ModelInfo& model, const Json& body, IgnoredFields* ignored,
                      std::string_view text) {
  Fields fields(body, "", ignored);
  fields.read_from(text);
  std::string prompt;
  std::vector<ChatMessage> messages;
  bool add_special = true;
  read_model(fields, model);
  const bool has_prompt = fields.value("prompt") != nullptr;
  const bool has_messages = fields.value("messages") != nullptr;
  if (has_prompt == has_messages) fields.fail("prompt", "exactly one of \"prompt\" and \"messages\" must be there");
  ChatOptions options;
  if (has_messages) read_messages(fields, messages);
  has_messages ? read_chat_options(fields, options) : refuse_chat_options(fields);
  fields.read("prompt", prompt);
  fields.read("add_special_tokens", add_special);
  fields.read("add_generation_prompt", options.open_answer);
  fields.refuse({"continue_final_message", "chat_template", "return_token_strs"});
  if (auto read = fields.finish(); !read) return read.error();
  std::size_t bytes = prompt.size();
  for (const ChatMessage& message : messages) bytes += message.content.size() + message.more.size();
  bytes += options.tools.size() + options.variables.size();
  if (const auto fits = check_text(bytes, has_prompt ? "prompt" : "messages"); !fits) return fits.error();
  const auto ids = has_prompt ? runtime.tokenize(prompt, add_special, true) : runtime.tokenize(messages, options);
  if (!ids) return ids.error();
  return Json{{"tokens", *ids}, {"count", ids->size()}, {"max_model_len", model.context_length}};
}

Result<Json> detokenize(const Runtime& runtime, const ModelInfo& model, const Json& body, IgnoredFields* ignored) {
  Fields fields(body, "", ignored);
  std::vector<TokenId> ids;
  read_model(fields, model);
  if (fields.value("tokens") == nullptr) fields.fail("tokens", "\"tokens\" is missing; it is a list of token ids");
  fields.read("tokens", ids, kMaxDetokenized);
  if (auto read = fields.finish(); !read) return read.error();
  const auto text = runtime.detokenize(ids);
  if (!text) return text.error();
  return Json{{"prompt", *text}};
}

HttpResponse answer_at_once(Hub& hub, const Route& route, const std::string& tenant, std::string_view body) {
  switch (route.endpoint) {
    case Endpoint::models:
      return json_reply({{"object", "list"}, {"data", Json::array({model_json(hub.model)})}});
    case Endpoint::model:
      if (route.argument == hub.model.name) return json_reply(model_json(hub.model));
      return error_reply(unknown_model(route.argument, hub.model));
    case Endpoint::session:
      return end_session(hub, tenant, route.argument);
    case Endpoint::health:
      return json_reply({{"status", "ok"}});
    case Endpoint::ready:
      return ready(hub);
    case Endpoint::metrics:
      return text_reply(hub.metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
    default:
      return reply_to(answer_body(hub, route.endpoint, body));
  }
}

}  // namespace headwater::gateway
