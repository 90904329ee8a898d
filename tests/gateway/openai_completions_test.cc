#include "gateway/openai_completions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gateway/scored.h"

namespace headwater::gateway {
namespace {

using test::scored;
using test::token;

ModelInfo model() {
  ModelInfo info;
  info.name = "smol";
  info.context_length = 5;
  return info;
}

Result<GenerateCall> parse(const char* text) { return parse_completion(Json::parse(text), model()); }

Error error(const char* text) {
  const auto parsed = parse(text);
  EXPECT_FALSE(parsed.ok()) << text;
  return parsed ? Error{} : parsed.error();
}

TEST(OpenAiCompletions, TakesAPromptInAllItsForms) {
  const auto prompts = [](const char* text) {
    auto parsed = parse(text);
    EXPECT_TRUE(parsed.ok()) << text;
    return parsed ? parsed->prompts : std::vector<Prompt>{};
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(std::get<std::string>(prompts(R"({"prompt": "a"})").at(0)), "a");
  EXPECT_EQ(std::get<Ids>(prompts(R"({"prompt": [1, 2]})").at(0)), (Ids{1, 2}));
  const auto texts = prompts(R"({"prompt": ["a", "b"]})");
  ASSERT_EQ(texts.size(), 2U);
  EXPECT_EQ(std::get<std::string>(texts[1]), "b");
  const auto lists = prompts(R"({"prompt": [[1], [2, 3]]})");
  ASSERT_EQ(lists.size(), 2U);
  EXPECT_EQ(std::get<Ids>(lists[1]), (Ids{2, 3}));
}

TEST(OpenAiCompletions, RefusesPromptsThatAreNone) {
  EXPECT_EQ(error(R"({})").param, "prompt");
  EXPECT_EQ(error(R"({"prompt": 7})").param, "prompt");
  EXPECT_EQ(error(R"({"prompt": {"a": 1}})").param, "prompt");
  EXPECT_EQ(error(R"({"prompt": [1, "a"]})").param, "prompt[1]");
  EXPECT_EQ(error(R"({"prompt": ["a", 7]})").param, "prompt[1]");
  EXPECT_EQ(error(R"({"prompt": [[1], [-2]]})").param, "prompt[1][0]");
  EXPECT_EQ(error(R"({"prompt": [1, 2, 3, 4, 5, 6]})").code, ErrorCode::context_length_exceeded);
  Json many = {{"prompt", Json::array()}};
  for (int i = 0; i < 65; ++i) many["prompt"].push_back("x");
  EXPECT_EQ(error(many.dump().c_str()).param, "prompt");
}

TEST(OpenAiCompletions, HasOpenAisDefaults) {
  const auto got = parse(R"({"prompt": "a"})");
  EXPECT_EQ(got->base.params.max_tokens, 16U);
  EXPECT_FALSE(got->base.params.logprobs.has_value());
  EXPECT_FALSE(got->echo);
}

TEST(OpenAiCompletions, ScoresAPromptWithoutGenerating) {
  const auto got = parse(R"({"prompt": "a", "max_tokens": 0, "echo": true, "logprobs": 1})");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->base.params.max_tokens, 0U);
  EXPECT_EQ(got->base.params.prompt_logprobs, 1U);
  EXPECT_EQ(error(R"({"prompt": "a", "max_tokens": 0})").param, "max_tokens");
  EXPECT_EQ(error(R"({"prompt": "a", "max_tokens": 0, "echo": true})").param, "max_tokens");
}

TEST(OpenAiCompletions, RefusesWhatItCannotDo) {
  EXPECT_EQ(error(R"({"prompt": "a", "suffix": "b"})").param, "suffix");
  EXPECT_EQ(error(R"({"prompt": "a", "best_of": 3})").param, "best_of");
  EXPECT_EQ(error(R"({"prompt": "a", "logprobs": 21})").param, "logprobs");
  EXPECT_EQ(error(R"({"prompt": "a", "top_logprobs": 2})").code, ErrorCode::unknown_parameter);
  EXPECT_TRUE(parse(R"({"prompt": "a", "n": 3, "best_of": 3, "suffix": null})").ok());
}

/// Prompt "añ" scored, answer " b" with two alternatives.
Choice scored_choice() {
  Choice choice;
  choice.text = " b";
  choice.finish_reason = FinishReason::stop;
  choice.stop_match = "END";
  choice.prompt_logprobs.push_back(scored(token(1, NAN, "a")));
  choice.prompt_logprobs.push_back(scored(token(2, -2.0F, "ñ"), token(9, -1.0F, "z")));
  choice.logprobs.push_back(scored(token(3, -0.25F, " b"), token(3, -0.25F, " b"), token(4, -3.0F, "\xf0\x9f")));
  choice.usage = {2, 1, 0};
  return choice;
}

TEST(OpenAiCompletions, EchoesAPromptWithItsScores) {
  GenerateCall call = *parse(R"({"prompt": "añ", "echo": true, "logprobs": 2})");
  call.echo_texts = {"añ"};
  std::vector<Choice> choices{scored_choice()};
  const Json answer = completions_dialect().whole(call, choices);
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(choice["text"], "añ b");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], "END");
  const Json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"a", "ñ", " b"}));
  EXPECT_EQ(logprobs["token_logprobs"], Json::array({nullptr, -2.0, -0.25}));
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1, 2}));
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  // The token itself is listed even where it is not among the best.
  EXPECT_EQ(logprobs["top_logprobs"][1], Json::parse(R"({"z": -1.0, "ñ": -2.0})"));
  EXPECT_EQ(logprobs["top_logprobs"][2], Json::parse(R"({" b": -0.25, "bytes:\\xf0\\x9f": -3.0})"));
}

TEST(OpenAiCompletions, NamesTokensByTheirIdsWhereAsked) {
  GenerateCall call = *parse(R"({"prompt": "x", "logprobs": 2, "return_tokens_as_token_ids": true})");
  std::vector<Choice> choices{scored_choice()};
  const Json logprobs = completions_dialect().whole(call, choices)["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"token_id:3"}));
  EXPECT_EQ(logprobs["top_logprobs"][0]["token_id:4"], -3.0);
}

TEST(OpenAiCompletions, StreamsTheEchoOnce) {
  GenerateCall plain = *parse(R"({"prompt": "p", "echo": true, "stream": true})");
  plain.echo_texts = {"p"};
  Choice choice = scored_choice();
  EXPECT_EQ(completions_dialect().opening(plain, choice)["choices"][0]["text"], "p");

  GenerateCall scored = *parse(R"({"prompt": "p", "echo": true, "stream": true, "logprobs": 1})");
  scored.echo_texts = {"añ"};
  choice = scored_choice();
  EXPECT_TRUE(completions_dialect().opening(scored, choice).is_null());
  TokenEvent event;
  event.kind = TokenEvent::Kind::prompt;
  event.logprobs = choice.prompt_logprobs;
  EXPECT_EQ(completions_dialect().delta(scored, choice, event)["choices"][0]["text"], "añ");
  event.kind = TokenEvent::Kind::tokens;
  event.text = " b";
  event.logprobs = choice.logprobs;
  const Json delta = completions_dialect().delta(scored, choice, event);
  EXPECT_EQ(delta["choices"][0]["text"], " b");
  EXPECT_EQ(delta["choices"][0]["logprobs"]["text_offset"], Json::array({2}));
}

TEST(OpenAiCompletions, BeginTheirErrorOfALongPromptWithOpenAisWords) {
  EXPECT_EQ(error(R"({"prompt": [1, 2, 3, 4, 5, 6]})").message,
            "This model's maximum context length is 5 tokens. However, \"prompt\" has 6 tokens.");
}

/// An answer "ab" that ended as "ENDING" began, whose last token was cut off in the middle, and then an end token.
Choice cut_choice() {
  Choice choice;
  choice.text = "ab";
  choice.finish_reason = FinishReason::stop;
  for (const char* text : {"a", "bE", "N", "DING"}) choice.logprobs.push_back(scored(token(1, -1, text)));
  choice.logprobs.push_back(scored(token(2, -1, "<|im_end|>")));
  return choice;
}

TEST(OpenAiCompletions, KeepOffsetsWithinTheTextWhereAStopStringIsCutOff) {
  GenerateCall call = *parse(R"({"prompt": "x", "logprobs": 0})");
  std::vector<Choice> choices{cut_choice()};
  const Json logprobs = completions_dialect().whole(call, choices)["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1, 2, 2, 2}));
}

TEST(OpenAiCompletions, HoldBackTheOffsetsOfTextThatMayBeCut) {
  GenerateCall call = *parse(R"({"prompt": "x", "logprobs": 0, "stream": true})");
  const Choice whole = cut_choice();
  Choice choice;
  Json offsets = Json::array();
  const char* texts[] = {"a", "b", "", "", ""};  // what is sent as each token comes
  for (std::size_t i = 0; i < 5; ++i) {
    TokenEvent event;
    event.text = texts[i];
    event.logprobs = {whole.logprobs[i]};
    const Json chunk = completions_dialect().delta(call, choice, event);
    if (chunk.is_null() || chunk["choices"][0]["logprobs"].is_null()) continue;
    for (const Json& offset : chunk["choices"][0]["logprobs"]["text_offset"]) offsets.push_back(offset);
  }
  EXPECT_EQ(offsets, Json::array({0})) << "of \"bE\" it is not known yet how much will be sent";
  EXPECT_EQ(completions_dialect().closing(call, choice)["choices"][0]["logprobs"]["text_offset"],
            Json::array({1, 2, 2, 2}));
}

TEST(OpenAiCompletions, CountNoTokenThatThePromptsTextLacks) {
  GenerateCall call = *parse(R"({"prompt": "né<s>", "echo": true, "logprobs": 0})");
  call.echo_texts = {"né<s>"};
  Choice choice;
  for (const char* text : {"<s>", "n", "\xc3", "\xa9", "<s>"})
    choice.prompt_logprobs.push_back(scored(token(1, -1, text)));
  choice.logprobs.push_back(scored(token(1, -1, "x")));
  choice.text = "x";
  std::vector<Choice> choices{choice};
  const Json logprobs = completions_dialect().whole(call, choices)["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 0, 1, 1, 2, 5}));
}

}  // namespace
}  // namespace headwater::gateway
