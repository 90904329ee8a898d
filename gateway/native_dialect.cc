#include "gateway/native_dialect.h"

#include <algorithm>
#include <cmath>

#include "gateway/api_error.h"
#include "gateway/cache_fields.h"
#include "gateway/cache_report.h"
#include "gateway/foreign_fields.h"
#include "gateway/json_fields.h"
#include "gateway/openai_chat.h"
#include "gateway/openai_common.h"
#include "gateway/shared_fields.h"
#include "gateway/token_text.h"

namespace headwater::gateway {
namespace {

constexpr std::size_t kMaxIdBytes = 256;

Result<std::string> id_of(const Json& frame) {
  const auto found = frame.find("id");
  if (found == frame.end() || !found->is_string()) {
    return Error{ErrorCode::invalid_request, "\"id\" must be a string: your name for the request", "id"};
  }
  const auto& id = found->get_ref<const std::string&>();
  if (id.empty() || id.size() > kMaxIdBytes) {
    return Error{ErrorCode::invalid_request, "\"id\" must have 1 to " + std::to_string(kMaxIdBytes) + " bytes", "id"};
  }
  return id;
}

/// A parameter beside "params" would be passed over, and the answer be another than was asked for.
void refuse_outside(Fields& frame, const Json& object, const Fields& params) {
  read_foreign(frame, {});
  for (const std::string& name : params.known()) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null() || std::ranges::count(frame.known(), name) > 0) continue;
    return frame.fail(name, in_quotes(name) + " belongs into \"params\"");
  }
}

void read_params(Fields& frame, const Json& object, SamplingParams& params) {
  static const Json kNone = Json::object();
  const Json* value = frame.value("params");
  if (value != nullptr && !value->is_object()) return frame.fail_type("params", "an object", *value);
  Fields fields = frame.nested("params", value != nullptr ? *value : kNone);
  read_sampling(fields, params);
  refuse_chat_options(fields);
  read_max_tokens(fields, params, 0);
  fields.read("logprobs", params.logprobs, 0, kMaxLogprobs);
  fields.read("prompt_logprobs", params.prompt_logprobs, 0, kMaxLogprobs);
  if (params.max_tokens == 0U && !params.prompt_logprobs) {
    fields.fail("max_tokens", "\"params.max_tokens\" is 0, which only scores a prompt: it needs \"prompt_logprobs\"");
  }
  if (const auto read = fields.finish(); !read) frame.fail(read.error());
  refuse_outside(frame, object, fields);
}

Result<Request> parse_generate(const Json& frame, std::string_view text, const ModelInfo& model,
                               IgnoredFields* ignored) {
  Request request;
  Fields fields(frame, "", ignored);
  fields.read_from(text);
  fields.accept({"type", "id"});
  read_model(fields, model);
  read_prompt(fields, model, request);
  request.params = model.sampling;
  read_params(fields, frame, request.params);
  fields.read("cache_salt", request.cache_salt);
  read_cache_control(fields, request.cache);
  read_session(fields, request.session);
  if (!request.session.empty() && !std::holds_alternative<std::vector<ChatMessage>>(request.prompt)) {
    fields.fail("session", "\"session\" goes on with \"messages\"; send the new ones");
  }
  fields.read("timeout_ms", request.timeout_ms, 0, kMaxTimeoutMs);
  fields.read("add_special_tokens", request.add_special_tokens);
  fields.refuse_other_than("stream", {true});
  fields.refuse_other_than("n", {1});
  if (auto read = fields.finish(); !read) return read.error();
  return request;
}

Json logprob_json(const TokenLogprob& token) {
  Json entry = {{"token_id", token.token}, {"token", token_name(token, false)}, {"logprob", nullptr}};
  if (!std::isnan(token.logprob)) entry["logprob"] = finite_logprob(token.logprob);
  return entry;
}

Json logprobs_json(std::span<const PositionLogprobs> positions) {
  Json list = Json::array();
  for (const PositionLogprobs& position : positions) {
    Json entry = logprob_json(position.chosen);
    entry["top"] = Json::array();
    for (const TokenLogprob& token : position.top) entry["top"].push_back(logprob_json(token));
    list.push_back(std::move(entry));
  }
  return list;
}

std::string_view type_of(TokenEvent::Kind kind) {
  switch (kind) {
    case TokenEvent::Kind::prompt:
      return "prompt";
    case TokenEvent::Kind::tokens:
      return "token";
    case TokenEvent::Kind::finished:
      return "finished";
    case TokenEvent::Kind::failed:
      return "failed";
    case TokenEvent::Kind::cancelled:
      return "cancelled";
  }
  return "failed";
}

void add_end(Json& frame, const TokenEvent& event) {
  if (event.kind == TokenEvent::Kind::finished) {
    frame["reason"] = finish_name(event.finish_reason);
    if (!event.stop_match.empty()) frame["stop_match"] = event.stop_match;
  }
  if (event.kind == TokenEvent::Kind::failed) frame["error"] = error_object(event.error);
  const std::uint64_t total = std::uint64_t{event.usage.prompt_tokens} + event.usage.completion_tokens;
  frame["usage"] = {{"prompt_tokens", event.usage.prompt_tokens},
                    {"completion_tokens", event.usage.completion_tokens},
                    {"total_tokens", total},
                    {"cached_tokens", event.usage.cached_tokens},
                    {"cache", cache_json({&event.usage, 1})}};
  frame["timings"] = {
      {"queue_ms", event.timings.queue_ms}, {"ttft_ms", event.timings.ttft_ms}, {"total_ms", event.timings.total_ms}};
}

}  // namespace

ClientFrame parse_frame(std::string_view text, const ModelInfo& model, IgnoredFields* ignored) {
  const auto frame = parse_request(text, model);
  if (!frame) return BadFrame{std::nullopt, frame.error()};
  if (!frame->is_object())
    return BadFrame{std::nullopt, {ErrorCode::invalid_request, "a frame must be a JSON object", ""}};
  auto id = id_of(*frame);
  if (!id) return BadFrame{std::nullopt, id.error()};
  const auto type = frame->find("type");
  if (type != frame->end() && *type == "generate") {
    auto request = parse_generate(*frame, text, model, ignored);
    if (!request) return BadFrame{*id, request.error()};
    return GenerateFrame{std::move(*id), std::move(*request)};
  }
  if (type != frame->end() && *type == "cancel") {
    Fields fields(*frame);
    fields.accept({"type", "id"});
    if (const auto read = fields.finish(); !read) return BadFrame{*id, read.error()};
    return CancelFrame{std::move(*id)};
  }
  if (type != frame->end() && *type == "end_session") {
    Fields fields(*frame);
    fields.accept({"type", "id"});
    std::string session;
    read_session(fields, session);
    if (session.empty()) fields.fail("session", "\"session\" is missing: the name of the session to end");
    if (const auto read = fields.finish(); !read) return BadFrame{*id, read.error()};
    return EndSessionFrame{std::move(*id), std::move(session)};
  }
  constexpr const char* kTypes = R"("type" must be "generate", "cancel" or "end_session")";
  return BadFrame{*id, {ErrorCode::invalid_request, kTypes, "type"}};
}

Json accepted_frame(const std::string& id, const Client::Ticket& ticket, std::optional<std::size_t> messages) {
  Json frame = {{"type", "accepted"}, {"id", id}, {"position", ticket.position}};
  if (messages) frame["session_messages"] = *messages;
  return frame;
}

Json event_frame(const std::string& id, const TokenEvent& event) {
  Json frame = {{"type", type_of(event.kind)}, {"id", id}, {"seq", event.seq}};
  if (event.terminal()) {
    add_end(frame, event);
    return frame;
  }
  if (event.kind == TokenEvent::Kind::tokens) frame["text"] = event.text;
  frame["token_ids"] = event.token_ids;
  if (!event.logprobs.empty()) frame["logprobs"] = logprobs_json(event.logprobs);
  return frame;
}

Json session_ended_frame(const EndSessionFrame& ended) {
  return {{"type", "session_ended"}, {"id", ended.id}, {"session", ended.session}};
}

Json error_frame(const std::optional<std::string>& id, const Error& error) {
  Json frame = {{"type", "error"}, {"error", error_object(error)}};
  if (id) frame["id"] = *id;
  return frame;
}

}  // namespace headwater::gateway
