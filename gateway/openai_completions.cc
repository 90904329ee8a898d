#include "gateway/openai_completions.h"

#include <algorithm>
#include <cmath>

#include "gateway/openai_chat.h"
#include "gateway/openai_common.h"
#include "gateway/shared_fields.h"
#include "gateway/token_text.h"

namespace headwater::gateway {
namespace {

constexpr std::uint32_t kDefaultMaxTokens = 16;  // OpenAI's

/// One prompt of a list: a string or a list of ids.
void read_one(Fields& fields, const Json& value, const std::string& name, const ModelInfo& model, GenerateCall& call) {
  if (value.is_string()) {
    call.prompts.emplace_back(value.get<std::string>());
    return;
  }
  if (!value.is_array()) {
    return fields.fail_type(name, "a string or a list of token ids", value);
  }
  if (value.size() > model.context_length) {
    return fields.fail(too_many_ids(value, name, model));
  }
  auto ids = read_token_ids(value, name, value.size());
  if (!ids) return fields.fail(ids.error());
  call.prompts.emplace_back(std::move(*ids));
}

/// A string, a list of ids, or a list of either.
void read_prompts(Fields& fields, const ModelInfo& model, GenerateCall& call) {
  const Json* prompt = fields.value("prompt");
  if (prompt == nullptr) return fields.fail("prompt", "\"prompt\" is missing; it is the text to complete");
  const bool list =
      prompt->is_array() && !prompt->empty() && (prompt->front().is_string() || prompt->front().is_array());
  if (!list) return read_one(fields, *prompt, "prompt", model, call);
  if (prompt->size() > kMaxPrompts) {
    return fields.fail("prompt", "\"prompt\" lists " + std::to_string(prompt->size()) + " prompts; at most " +
                                     std::to_string(kMaxPrompts) + " are accepted in one call");
  }
  for (std::size_t i = 0; i < prompt->size() && !fields.failed(); ++i) {
    read_one(fields, (*prompt)[i], "prompt[" + std::to_string(i) + "]", model, call);
  }
}

void read_scoring(Fields& fields, GenerateCall& call) {
  SamplingParams& params = call.base.params;
  params.max_tokens = kDefaultMaxTokens;
  read_max_tokens(fields, params, 0);
  if (const Json* logprobs = fields.value("logprobs"); logprobs != nullptr && *logprobs != false) {
    fields.read("logprobs", params.logprobs, 0, kMaxLogprobs);
  }
  fields.read("echo", call.echo);
  fields.read("return_tokens_as_token_ids", call.tokens_by_id);
  fields.read("add_special_tokens", call.base.add_special_tokens);
  if (call.echo && params.logprobs) params.prompt_logprobs = params.logprobs;
  if (params.max_tokens == 0U && !params.prompt_logprobs) {
    fields.fail("max_tokens",
                "\"max_tokens\" is 0, which only scores a prompt: it needs \"echo\": true and \"logprobs\"");
  }
}

/// {"tokens", "token_logprobs", "top_logprobs", "text_offset"} being filled.
class LogprobLists {
 public:
  explicit LogprobLists(bool by_id) : by_id_(by_id) {}

  void add(const PositionLogprobs& position, std::size_t offset) {
    tokens_.push_back(token_name(position.chosen, by_id_));
    offsets_.push_back(offset);
    const bool predicted = !std::isnan(position.chosen.logprob);
    logprobs_.push_back(predicted ? Json(finite_logprob(position.chosen.logprob)) : Json(nullptr));
    top_.push_back(predicted ? top_of(position) : Json(nullptr));
  }
  /// Tokens whose text is there as far as it comes.
  void add(std::span<const PositionLogprobs> positions, TextOffsets& offsets) {
    for (const PositionLogprobs& position : positions) add(position, *offsets.next(position.chosen.bytes, true));
  }

  Json json() && {
    return {{"tokens", std::move(tokens_)},
            {"token_logprobs", std::move(logprobs_)},
            {"top_logprobs", std::move(top_)},
            {"text_offset", std::move(offsets_)}};
  }

 private:
  /// The best ones, and the token itself where it is not among them. Of two with one name the better counts.
  Json top_of(const PositionLogprobs& position) const {
    Json top = Json::object();
    for (const TokenLogprob& token : position.top)
      top.emplace(token_name(token, by_id_), finite_logprob(token.logprob));
    top.emplace(token_name(position.chosen, by_id_), finite_logprob(position.chosen.logprob));
    return top;
  }

  bool by_id_;
  Json tokens_ = Json::array(), logprobs_ = Json::array(), top_ = Json::array(), offsets_ = Json::array();
};

const std::string& echo_text(const GenerateCall& call, const Choice& choice) {
  return call.echo_texts[choice.index / call.n];
}

class CompletionsDialect : public Dialect {
 public:
  std::string_view id_prefix() const override { return "cmpl-"; }

  Json whole(const GenerateCall& call, std::span<Choice> choices) const override {
    Json list = Json::array();
    for (const Choice& choice : choices) {
      Json entry = {{"index", choice.index},
                    {"text", call.echo ? echo_text(call, choice) + choice.text : choice.text},
                    {"finish_reason", finish_name(choice.finish_reason)},
                    {"stop_reason", stop_reason(choice)},
                    {"logprobs", nullptr}};
      if (call.base.params.logprobs) {
        LogprobLists lists(call.tokens_by_id);
        TextOffsets offsets;
        if (call.echo) {
          offsets.add_text(echo_text(call, choice));
          lists.add(choices[call.first_of(choice.index)].prompt_logprobs, offsets);
        }
        offsets.add_text(choice.text);
        lists.add(choice.logprobs, offsets);
        entry["logprobs"] = std::move(lists).json();
      }
      list.push_back(std::move(entry));
    }
    Json answer = answer_json(call, "text_completion", std::move(list));
    answer["usage"] = usage_json(call, choices);
    return answer;
  }

  /// The echoed prompt, unless it comes with its log-probabilities.
  Json opening(const GenerateCall& call, Choice& choice) const override {
    if (!call.echo || call.base.params.prompt_logprobs) return nullptr;
    return echo(call, choice);
  }

  Json delta(const GenerateCall& call, Choice& choice, const TokenEvent& event) const override {
    if (event.kind == TokenEvent::Kind::prompt) {
      Json answer = echo(call, choice);
      LogprobLists lists(call.tokens_by_id);
      lists.add(event.logprobs, choice.offsets);
      answer["choices"][0]["logprobs"] = std::move(lists).json();
      return answer;
    }
    Json logprobs = nullptr;
    if (call.base.params.logprobs) {
      choice.offsets.add_text(event.text);
      choice.held_logprobs.insert(choice.held_logprobs.end(), event.logprobs.begin(), event.logprobs.end());
      logprobs = ready_logprobs(call, choice, false);
    }
    if (event.text.empty() && logprobs.is_null()) return nullptr;
    Json answer = chunk(call, choice, event.text);
    answer["choices"][0]["logprobs"] = std::move(logprobs);
    return answer;
  }

  Json closing(const GenerateCall& call, Choice& choice) const override {
    Json answer = chunk(call, choice, "");
    answer["choices"][0]["finish_reason"] = finish_name(choice.finish_reason);
    answer["choices"][0]["stop_reason"] = stop_reason(choice);
    answer["choices"][0]["logprobs"] = ready_logprobs(call, choice, true);
    return answer;
  }

  Json usage_chunk(const GenerateCall& call, std::span<const Choice> choices) const override {
    Json answer = answer_json(call, "text_completion", Json::array());
    answer["usage"] = usage_json(call, choices);
    return answer;
  }

 private:
  static Json stop_reason(const Choice& choice) {
    return choice.stop_match.empty() ? Json(nullptr) : Json(choice.stop_match);
  }

  static Json echo(const GenerateCall& call, Choice& choice) {
    choice.offsets.add_text(echo_text(call, choice));
    return chunk(call, choice, echo_text(call, choice));
  }

  /// Of the tokens that are held back, as far as it is known where they begin; null: of none.
  static Json ready_logprobs(const GenerateCall& call, Choice& choice, bool complete) {
    LogprobLists lists(call.tokens_by_id);
    auto position = choice.held_logprobs.begin();
    for (; position != choice.held_logprobs.end(); ++position) {
      const auto offset = choice.offsets.next(position->chosen.bytes, complete);
      if (!offset) break;
      lists.add(*position, *offset);
    }
    if (position == choice.held_logprobs.begin()) return nullptr;
    choice.held_logprobs.erase(choice.held_logprobs.begin(), position);
    return std::move(lists).json();
  }

  static Json chunk(const GenerateCall& call, const Choice& choice, const std::string& text) {
    const Json entry = {{"index", choice.index}, {"text", text}, {"finish_reason", nullptr}, {"logprobs", nullptr}};
    Json answer = answer_json(call, "text_completion", Json::array({entry}));
    add_usage(call, choice, answer);
    return answer;
  }
};

}  // namespace

Result<GenerateCall> parse_completion(const Json& body, const ModelInfo& model, IgnoredFields* ignored) {
  if (!body.is_object()) return Error{ErrorCode::invalid_request, "the body must be a JSON object", ""};
  GenerateCall call;
  Fields fields(body, "", ignored);
  read_common(fields, model, call);
  read_prompts(fields, model, call);
  read_scoring(fields, call);
  fields.refuse({"suffix", "prompt_logprobs"});
  refuse_chat_options(fields);
  if (auto read = fields.finish(); !read) return read.error();
  return call;
}

const Dialect& completions_dialect() {
  static const CompletionsDialect dialect;
  return dialect;
}

}  // namespace headwater::gateway
