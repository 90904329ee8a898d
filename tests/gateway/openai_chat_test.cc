#include "gateway/openai_chat.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gateway/scored.h"

namespace headwater::gateway {
namespace {

ModelInfo model() {
  ModelInfo info;
  info.name = "smol";
  info.context_length = 100;
  return info;
}

/// The body with `fields` added to a small valid one.
Json body(const char* fields) {
  Json json = Json::parse(R"({"model": "smol", "messages": [{"role": "user", "content": "hi"}]})");
  json.update(Json::parse(fields));
  return json;
}

GenerateCall call(const char* fields) {
  auto parsed = parse_chat(body(fields), model());
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed ? *parsed : GenerateCall{};
}

Error error(const char* fields) {
  const auto parsed = parse_chat(body(fields), model());
  EXPECT_FALSE(parsed.ok()) << fields;
  return parsed ? Error{} : parsed.error();
}

TEST(OpenAiChat, ReadsEveryField) {
  const GenerateCall got = call(R"({
    "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1, "presence_penalty": -1,
    "frequency_penalty": 2, "logit_bias": {"7": -100, "8": 1.5}, "seed": 42, "stop": ["a", "b"], "stop_token_ids": [3],
    "max_tokens": 5, "max_completion_tokens": 6, "min_tokens": 2, "ignore_eos": true, "n": 3, "stream": true,
    "stream_options": {"include_usage": true}, "logprobs": true, "top_logprobs": 4, "cache_salt": "s", "timeout": 1.5})");
  const SamplingParams& params = got.base.params;
  EXPECT_EQ(params.temperature, 0.5F);
  EXPECT_EQ(params.top_p, 0.9F);
  EXPECT_EQ(params.top_k, 40U);
  EXPECT_EQ(params.min_p, 0.1F);
  EXPECT_EQ(params.repetition_penalty, 1.1F);
  EXPECT_EQ(params.presence_penalty, -1.0F);
  EXPECT_EQ(params.frequency_penalty, 2.0F);
  EXPECT_EQ(params.logit_bias, (std::vector<std::pair<TokenId, float>>{{7, -100}, {8, 1.5}}));
  EXPECT_EQ(params.seed, 42U);
  EXPECT_EQ(params.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(params.stop_token_ids, std::vector<TokenId>{3});
  EXPECT_EQ(params.max_tokens, 6U);
  EXPECT_EQ(params.min_tokens, 2U);
  EXPECT_TRUE(params.ignore_eos);
  EXPECT_EQ(params.logprobs, 4U);
  EXPECT_EQ(got.base.cache_salt, "s");
  EXPECT_EQ(got.base.timeout_ms, 1500U);
  EXPECT_EQ(got.n, 3U);
  EXPECT_TRUE(got.stream);
  EXPECT_TRUE(got.include_usage);
}

TEST(OpenAiChat, GivesTheChoicesOfAPromptDifferentSeeds) {
  const GenerateCall got = call(R"({"n": 3, "seed": 18446744073709551615})");
  ASSERT_EQ(got.choices(), 3U);
  EXPECT_EQ(got.request(0).params.seed, 18446744073709551615ULL);
  EXPECT_EQ(got.request(1).params.seed, 0U);
  EXPECT_EQ(got.request(2).params.seed, 1U);
}

TEST(OpenAiChat, JoinsTheTextPartsOfAMessage) {
  const GenerateCall got = call(
      R"({"messages": [{"role": "developer", "content": "s"},
          {"role": "user", "name": "u", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]})");
  const auto& messages = std::get<std::vector<ChatMessage>>(got.prompts.at(0));
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "a\nb") << "parts stand on lines of their own";
}

TEST(OpenAiChat, NamesThePlaceOfAMistakeInTheMessages) {
  const auto param = [](const char* fields) { return error(fields).param; };
  EXPECT_EQ(param(R"({"messages": null})"), "messages");
  EXPECT_EQ(param(R"({"messages": []})"), "messages");
  EXPECT_EQ(param(R"({"messages": "hi"})"), "messages");
  EXPECT_EQ(param(R"({"messages": [7]})"), "messages[0]");
  EXPECT_EQ(param(R"({"messages": [{"role": "robot", "content": "x"}]})"), "messages[0].role");
  EXPECT_EQ(param(R"({"messages": [{"role": 3, "content": "x"}]})"), "messages[0].role");
  EXPECT_EQ(param(R"({"messages": [{"role": "user"}]})"), "messages[0].content");
  EXPECT_EQ(param(R"({"messages": [{"role": "user", "content": 5}]})"), "messages[0].content");
  EXPECT_EQ(param(R"({"messages": [{"role": "user", "content": "x", "conten": 1}]})"), "messages[0].conten");
  EXPECT_EQ(param(R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x",
                      "tool_calls": [{}]}]})"),
            "messages[1].tool_calls");
  EXPECT_EQ(param(R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]})"),
            "messages[0].content[0].type");
}

TEST(OpenAiChat, ChecksTheRangeOfEveryNumber) {
  for (const char* fields : {R"({"temperature": -0.1})",
                             R"({"temperature": 101})",
                             R"({"temperature": "hot"})",
                             R"({"top_p": -0.1})",
                             R"({"top_p": 1.1})",
                             R"({"top_k": -2})",
                             R"({"top_k": 1.5})",
                             R"({"min_p": 2})",
                             R"({"repetition_penalty": 0})",
                             R"({"presence_penalty": 2.1})",
                             R"({"frequency_penalty": -2.1})",
                             R"({"seed": 1.5})",
                             R"({"max_tokens": 0})",
                             R"({"max_tokens": -1})",
                             R"({"max_tokens": 1000000000})",
                             R"({"max_completion_tokens": 1.5})",
                             R"({"min_tokens": -1})",
                             R"({"n": 0})",
                             R"({"n": 17})",
                             R"({"top_logprobs": 21, "logprobs": true})",
                             R"({"timeout": 0})",
                             R"({"timeout": 1e300})",
                             R"({"logprobs": 3})",
                             R"({"stream": 1})",
                             R"({"stop_token_ids": [1.5]})",
                             R"({"ignore_eos": "no"})",
                             R"({"cache_salt": 7})",
                             R"({"logit_bias": [1]})"}) {
    const Error got = error(fields);
    EXPECT_EQ(got.code, ErrorCode::invalid_request) << fields;
    EXPECT_TRUE(Json::parse(fields).contains(got.param.substr(0, got.param.find('[')))) << fields << " " << got.param;
  }
}

TEST(OpenAiChat, RefusesBiasesAndStopsThatMakeNoSense) {
  EXPECT_EQ(error(R"({"logit_bias": {"x": 1}})").param, "logit_bias.x");
  EXPECT_EQ(error(R"({"logit_bias": {"-1": 1}})").param, "logit_bias.-1");
  EXPECT_EQ(error(R"({"logit_bias": {"01": 1}})").param, "logit_bias.01");
  EXPECT_EQ(error(R"({"logit_bias": {"1": 101}})").param, "logit_bias.1");
  EXPECT_EQ(error(R"({"stop": ["a", ""]})").param, "stop[1]");
  EXPECT_EQ(error(R"({"stop": [7]})").param, "stop[0]");
  EXPECT_EQ(error(R"({"stop": {"a": 1}})").param, "stop");
  EXPECT_TRUE(call(R"({"stop": ""})").base.params.stop.empty());
  EXPECT_EQ(call(R"({"stop": "x"})").base.params.stop, std::vector<std::string>{"x"});
}

TEST(OpenAiChat, AcceptsWhatHasNoEffectAndRefusesWhatWouldHaveOne) {
  call(R"({"user": "u", "metadata": {"a": "b"}, "store": true, "service_tier": "auto", "parallel_tool_calls": true,
           "response_format": {"type": "text"}, "modalities": ["text"], "tool_choice": "none", "tools": [],
           "top_k": -1, "logit_bias": null, "functions": null})");
  for (const char* fields :
       {R"({"functions": [{"name": "f"}]})", R"({"audio": {"voice": "x"}})",
        R"({"response_format": {"type": "json_object"}})", R"({"modalities": ["audio"]})",
        R"({"tool_choice": "required"})", R"({"best_of": 2})", R"({"reasoning_effort": "high"})"}) {
    const Error got = error(fields);
    EXPECT_EQ(got.code, ErrorCode::unsupported_parameter) << fields;
    EXPECT_EQ(got.param, Json::parse(fields).begin().key());
  }
  EXPECT_EQ(error(R"({"max_token": 5})").message, "unknown field \"max_token\" (did you mean \"max_tokens\"?)");
}

TEST(OpenAiChat, TakesTheMostProbableTokenWhereTopPIsZero) {
  EXPECT_EQ(call(R"({"top_p": 0, "top_k": 40})").base.params.top_k, 1U);
  EXPECT_EQ(call(R"({"top_p": 0})").base.params.top_p, 1.0F);
}

TEST(OpenAiChat, TakesAnAssistantThatSaidNothing) {
  const GenerateCall got = call(
      R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": null, "tool_calls": null},
                       {"role": "user", "content": "y"}]})");
  EXPECT_EQ(std::get<std::vector<ChatMessage>>(got.prompts.at(0)).at(1).content, "");
  EXPECT_EQ(error(R"({"messages": [{"role": "user", "content": null}]})").param, "messages[0].content");
}

TEST(OpenAiChat, GivesToolsTheirCallsAndWhatTheySaidToTheTemplateAsTheyCame) {
  constexpr const char* kText = R"({"tools": [ {"type": "function", "function": {"name": "f", "a\\u0062": 1.0}} ],
      "chat_template_kwargs": {"z": 1, "enable_thinking": false},
      "messages": [{"role": "user", "content": "x", "name": "Ann"},
                   {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "id": "1",
                    "function": {"name": "f", "arguments": "{}"}}]},
                   {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "42"}]},
                   {"role": "assistant", "content": "y", "reasoning_content": "so", "tool_calls": []}]})";
  const auto got = parse_chat(Json::parse(kText), model(), nullptr, kText);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->base.chat.tools, R"([ {"type": "function", "function": {"name": "f", "a\\u0062": 1.0}} ])");
  EXPECT_EQ(got->base.chat.variables, R"({"z": 1, "enable_thinking": false})");
  const auto& messages = std::get<std::vector<ChatMessage>>(got->prompts.at(0));
  EXPECT_EQ(messages.at(0).more, R"({"name":"Ann"})");
  EXPECT_TRUE(messages.at(1).more.starts_with(R"({"tool_calls":[{"type": "function", "id": "1",)")) << messages[1].more;
  EXPECT_TRUE(messages.at(1).more.ends_with(R"(}}],"content":null})")) << messages[1].more;
  EXPECT_EQ(messages.at(2).role, "tool");
  EXPECT_EQ(messages.at(2).content, "42");
  EXPECT_EQ(messages.at(2).more, R"({"tool_call_id":"1"})");
  EXPECT_EQ(messages.at(3).more, R"({"reasoning_content":"so"})");
}

TEST(OpenAiChat, ChecksWhatToolsAndTheirCallsAre) {
  const auto param = [](const char* fields) { return error(fields).param; };
  EXPECT_EQ(param(R"({"tools": {}})"), "tools");
  EXPECT_EQ(param(R"({"tools": [{"type": "function"}]})"), "tools");
  EXPECT_EQ(param(R"({"tools": [{"function": {"name": 1}}]})"), "tools");
  EXPECT_EQ(param(R"({"chat_template_kwargs": []})"), "chat_template_kwargs");
  EXPECT_EQ(param(R"({"messages": [{"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f"}}]}]})"),
            "messages[0].tool_calls");
  EXPECT_EQ(param(R"({"messages": [{"role": "tool", "content": "x", "tool_call_id": 1}]})"),
            "messages[0].tool_call_id");
  EXPECT_EQ(param(R"({"messages": [{"role": "tool", "tool_call_id": "1"}]})"), "messages[0].content");
  EXPECT_EQ(param(R"({"messages": [{"role": "function", "content": "x"}]})"), "messages[0].role");
}

TEST(OpenAiChat, KnowsOnlyItsOwnModel) {
  const Error got = error(R"({"model": "gpt-4"})");
  EXPECT_EQ(got.code, ErrorCode::model_not_found);
  EXPECT_EQ(got.param, "model");
}

TEST(OpenAiChat, WantsStreamOptionsOnlyWithAStream) {
  EXPECT_EQ(error(R"({"stream_options": {"include_usage": true}})").param, "stream_options");
  EXPECT_EQ(error(R"({"stream": true, "stream_options": {"usage": true}})").param, "stream_options.usage");
  EXPECT_TRUE(call(R"({"stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true}})")
                  .continuous_usage);
  EXPECT_FALSE(call(R"({"stream": true, "stream_options": {"continuous_usage_stats": true}})").continuous_usage);
}

/// A choice with one token " é", of which the second byte is missing.
Choice broken_choice() {
  Choice choice;
  choice.text = "hello";
  choice.finish_reason = FinishReason::length;
  choice.logprobs.push_back(test::scored(test::token(5, -0.5F, "\xc3"), test::token(6, -INFINITY, "x")));
  choice.usage = {10, 4, 8, {0, CacheSource::memory, CacheMiss::never_seen, 1}};
  return choice;
}

TEST(OpenAiChat, WritesAWholeAnswer) {
  GenerateCall got = call(R"({"logprobs": true, "top_logprobs": 1})");
  got.id = "chatcmpl-1";
  std::vector<Choice> choices{broken_choice()};
  const Json answer = chat_dialect().whole(got, choices);
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["model"], "smol");
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "hello");
  EXPECT_EQ(choice["finish_reason"], "length");
  const Json& token = choice["logprobs"]["content"][0];
  EXPECT_EQ(token["token"], "bytes:\\xc3");
  EXPECT_EQ(token["bytes"], Json::array({195}));
  EXPECT_EQ(token["logprob"], -0.5);
  EXPECT_EQ(token["top_logprobs"][0]["logprob"], -9999.0);
  EXPECT_EQ(answer["usage"], Json::parse(R"({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
                                             "prompt_tokens_details": {"cached_tokens": 8, "cache":
        {"matched_tokens": 8, "copied_tokens": 0, "source": "memory",
         "miss": {"reason": "never_seen", "tokens": 1}}}})"));
}

TEST(OpenAiChat, CountsAPromptOnceHoweverManyChoicesItHas) {
  const GenerateCall got = call(R"({"n": 2})");
  std::vector<Choice> choices{broken_choice(), broken_choice()};
  choices[1].index = 1;
  const Json usage = chat_dialect().whole(got, choices)["usage"];
  EXPECT_EQ(usage["prompt_tokens"], 10);
  EXPECT_EQ(usage["completion_tokens"], 8);
  EXPECT_EQ(usage["prompt_tokens_details"]["cache"]["miss"]["tokens"], 1);
}

TEST(OpenAiChat, WritesTheUsageSoFarIntoEveryChunkWhereAsked) {
  const GenerateCall got =
      call(R"({"stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true}})");
  Choice choice = broken_choice();
  TokenEvent event;
  event.text = "he";
  const Json usage = Json::parse(R"({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14})");
  EXPECT_EQ(chat_dialect().delta(got, choice, event)["usage"], usage);
  EXPECT_EQ(chat_dialect().closing(got, choice)["usage"], usage);
}

TEST(OpenAiChat, WritesTheChunksOfAStream) {
  const GenerateCall got = call(R"({"stream": true, "stream_options": {"include_usage": true}})");
  Choice choice = broken_choice();
  const Json opening = chat_dialect().opening(got, choice);
  EXPECT_EQ(opening["object"], "chat.completion.chunk");
  EXPECT_EQ(opening["choices"][0]["delta"]["role"], "assistant");
  EXPECT_TRUE(opening["usage"].is_null());
  TokenEvent event;
  event.text = "he";
  EXPECT_EQ(chat_dialect().delta(got, choice, event)["choices"][0]["delta"]["content"], "he");
  event.text = "";
  EXPECT_TRUE(chat_dialect().delta(got, choice, event).is_null());
  EXPECT_EQ(chat_dialect().closing(got, choice)["choices"][0]["finish_reason"], "length");
  const std::vector<Choice> choices{choice};
  const Json last = chat_dialect().usage_chunk(got, choices);
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"]["total_tokens"], 14);
}

}  // namespace
}  // namespace headwater::gateway
