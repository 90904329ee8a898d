#include "gateway/answer_size.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

constexpr std::uint64_t kLimit = 128 << 20;

ModelInfo model(std::uint32_t context) {
  ModelInfo info;
  info.context_length = context;
  return info;
}

/// Prompts of so many ids.
GenerateCall call(std::size_t prompts, std::size_t tokens, std::uint32_t n) {
  GenerateCall call;
  call.prompts.assign(prompts, std::vector<TokenId>(tokens, 1));
  call.n = n;
  call.base.params.max_tokens = 0;
  return call;
}

TEST(AnswerSize, RefusesALargeCallBeforehandAndNamesWhatToAskLessOf) {
  GenerateCall large = call(64, 500, 16);
  large.echo = true;
  large.base.params.logprobs = large.base.params.prompt_logprobs = 20;
  const auto checked = check_answer_size(large, model(8192), kLimit);
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.error().code, ErrorCode::invalid_request);
  EXPECT_EQ(checked.error().param, "logprobs");
  EXPECT_NE(checked.error().message.find("at most 128 in one call"), std::string::npos) << checked.error().message;
  large.stream = true;
  EXPECT_FALSE(check_answer_size(large, model(8192), kLimit).ok()) << "a prompt's scores come at once";
}

TEST(AnswerSize, TakesWhatClientsAskFor) {
  GenerateCall whole_context = call(1, 8000, 1);
  whole_context.echo = true;
  whole_context.base.params.logprobs = whole_context.base.params.prompt_logprobs = 20;
  EXPECT_TRUE(check_answer_size(whole_context, model(8192), kLimit).ok());
  GenerateCall evaluation = call(64, 1000, 1);
  evaluation.echo = true;
  evaluation.base.params.logprobs = evaluation.base.params.prompt_logprobs = 1;
  EXPECT_TRUE(check_answer_size(evaluation, model(8192), kLimit).ok());
  GenerateCall chat;
  chat.prompts.emplace_back(std::vector<ChatMessage>{{"user", "hi"}});
  chat.n = 16;
  EXPECT_TRUE(check_answer_size(chat, model(131'072), kLimit).ok()) << "text alone is small";
}

TEST(AnswerSize, CountsNoTokensThatAreStreamed) {
  GenerateCall chat;
  chat.prompts.emplace_back(std::vector<ChatMessage>{{"user", "hi"}});
  chat.base.params.logprobs = 20;
  EXPECT_FALSE(check_answer_size(chat, model(131'072), kLimit).ok());
  chat.stream = true;
  EXPECT_TRUE(check_answer_size(chat, model(131'072), kLimit).ok());
}

TEST(AnswerSize, CountsNoMoreTokensThanATextHasBytesOrTheContextRoom) {
  GenerateCall text = call(1, 0, 1);
  text.base.params.logprobs = text.base.params.prompt_logprobs = 0;
  text.prompts[0] = std::string("four");
  const std::uint64_t five = answer_bytes(text, model(8192));
  text.prompts[0] = std::string(1 << 20, 'x');
  EXPECT_EQ(answer_bytes(text, model(5)), five);
}

TEST(AnswerSize, BoundsTheScoresOfAWebSocketsPromptToo) {
  Request request;
  request.prompt = std::vector<TokenId>(8000, 1);
  request.params.prompt_logprobs = 20;
  EXPECT_TRUE(check_answer_size(request, model(8192), kLimit).ok());
  EXPECT_EQ(check_answer_size(request, model(8192), 1 << 20).error().param, "params.prompt_logprobs");
}

}  // namespace
}  // namespace headwater::gateway
