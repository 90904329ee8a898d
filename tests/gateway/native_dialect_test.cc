#include "gateway/native_dialect.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gateway/scored.h"

namespace headwater::gateway {
namespace {

ClientFrame parse(const std::string& text) {
  ModelInfo model;
  model.name = "smol";
  model.context_length = 4;
  return parse_frame(text, model);
}

BadFrame bad(const std::string& text) {
  ClientFrame frame = parse(text);
  EXPECT_TRUE(std::holds_alternative<BadFrame>(frame)) << text;
  return std::holds_alternative<BadFrame>(frame) ? std::get<BadFrame>(frame) : BadFrame{};
}

TEST(NativeDialect, ReadsARequest) {
  const ClientFrame frame = parse(R"({"type": "generate", "id": "a1", "messages": [{"role": "user", "content": "hi"}],
      "params": {"max_tokens": 7, "temperature": 0, "logprobs": 2, "stop": "x"}, "cache_salt": "s", "timeout_ms": 9,
      "cache": {"priority": 8}})");
  ASSERT_TRUE(std::holds_alternative<GenerateFrame>(frame));
  const auto& generate = std::get<GenerateFrame>(frame);
  EXPECT_EQ(generate.id, "a1");
  EXPECT_EQ(std::get<std::vector<ChatMessage>>(generate.request.prompt).at(0).content, "hi");
  EXPECT_EQ(generate.request.params.max_tokens, 7U);
  EXPECT_EQ(generate.request.params.temperature, 0.0F);
  EXPECT_EQ(generate.request.params.logprobs, 2U);
  EXPECT_EQ(generate.request.params.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(generate.request.cache_salt, "s");
  EXPECT_EQ(generate.request.timeout_ms, 9U);
  EXPECT_EQ(generate.request.cache.priority, 8);
}

TEST(NativeDialect, TakesTextOrIds) {
  const auto text = std::get<GenerateFrame>(parse(R"({"type": "generate", "id": "a", "prompt": "hi"})"));
  EXPECT_EQ(std::get<std::string>(text.request.prompt), "hi");
  const auto ids = std::get<GenerateFrame>(parse(R"({"type": "generate", "id": "a", "prompt_ids": [1, 2]})"));
  EXPECT_EQ(std::get<std::vector<TokenId>>(ids.request.prompt), (std::vector<TokenId>{1, 2}));
}

TEST(NativeDialect, ReadsACancel) {
  const ClientFrame frame = parse(R"({"type": "cancel", "id": "a1"})");
  ASSERT_TRUE(std::holds_alternative<CancelFrame>(frame));
  EXPECT_EQ(std::get<CancelFrame>(frame).id, "a1");
}

TEST(NativeDialect, NamesTheFieldAtFaultAndTheIdWhereItIsKnown) {
  EXPECT_EQ(bad("nonsense").error.code, ErrorCode::invalid_json);
  EXPECT_EQ(bad("[1]").error.code, ErrorCode::invalid_request);
  for (const char* text : {R"({"type": "generate", "prompt": "x"})", R"({"type": "cancel", "id": 7})",
                           R"({"type": "cancel", "id": ""})"}) {
    const BadFrame frame = bad(text);
    EXPECT_EQ(frame.error.param, "id") << text;
    EXPECT_FALSE(frame.id.has_value());
  }
  const auto param = [](const std::string& rest) {
    const BadFrame frame = bad(R"({"id": "a", )" + rest + "}");
    EXPECT_EQ(frame.id, "a");
    return frame.error.param;
  };
  EXPECT_EQ(param(R"("prompt": "x")"), "type");
  EXPECT_EQ(param(R"("type": "generat", "prompt": "x")"), "type");
  EXPECT_EQ(param(R"("type": 3, "prompt": "x")"), "type");
  EXPECT_EQ(param(R"("type": "generate")"), "prompt");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "prompt_ids": [1])"), "prompt");
  EXPECT_EQ(param(R"("type": "generate", "prompt_ids": [1, 2, 3, 4, 5])"), "prompt_ids");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "params": 7)"), "params");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "params": {"top_p": 2})"), "params.top_p");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "params": {"stop": [1]})"), "params.stop[0]");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "params": {"max_tokens": 0})"), "params.max_tokens");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "parms": {})"), "parms");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "model": "other")"), "model");
  EXPECT_EQ(param(R"("type": "cancel", "why": "x")"), "why");
  EXPECT_EQ(param(R"("type": "generate", "prompt": "x", "temperature": 0)"), "temperature");
  EXPECT_EQ(bad(R"({"id": "a", "type": "generate", "prompt": "x", "tools": [{}]})").error.code,
            ErrorCode::unsupported_parameter);
}

TEST(NativeDialect, RefusesWhatBelongsIntoParamsAlsoWhereUnknownFieldsAreIgnored) {
  IgnoredFields ignored;
  const ClientFrame frame =
      parse_frame(R"({"type": "generate", "id": "a", "prompt": "x", "top_k": 1, "odd": 1})", {}, &ignored);
  EXPECT_EQ(std::get<BadFrame>(frame).error.message, "\"top_k\" belongs into \"params\"");
  const ClientFrame odd = parse_frame(R"({"type": "generate", "id": "a", "prompt": "x", "odd": 1})", {}, &ignored);
  EXPECT_TRUE(std::holds_alternative<GenerateFrame>(odd));
}

TEST(NativeDialect, BeginsItsErrorOfALongPromptWithOpenAisWords) {
  const BadFrame frame = bad(R"({"type": "generate", "id": "a", "prompt_ids": [1, 2, 3, 4, 5]})");
  EXPECT_EQ(frame.error.code, ErrorCode::context_length_exceeded);
  EXPECT_EQ(frame.error.message,
            "This model's maximum context length is 4 tokens. However, \"prompt_ids\" has 5 tokens.");
}

TEST(NativeDialect, WritesEveryKindOfEvent) {
  TokenEvent event;
  event.seq = 3;
  event.text = "hi";
  event.token_ids = {5};
  event.logprobs.push_back(test::scored(test::token(5, NAN, "h"), test::token(6, -1, "i")));
  EXPECT_EQ(event_frame("a", event), Json::parse(R"({"type": "token", "id": "a", "seq": 3, "text": "hi",
      "token_ids": [5], "logprobs": [{"token_id": 5, "token": "h", "logprob": null,
                                      "top": [{"token_id": 6, "token": "i", "logprob": -1.0}]}]})"));
  TokenEvent end;
  end.kind = TokenEvent::Kind::finished;
  end.finish_reason = FinishReason::length;
  end.usage = {4, 2, 1, {1, CacheSource::memory, CacheMiss::evicted, 2}};
  end.timings = {1.5, 2, 3};
  EXPECT_EQ(event_frame("a", end), Json::parse(R"({"type": "finished", "id": "a", "seq": 0, "reason": "length",
      "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6, "cached_tokens": 1,
                "cache": {"matched_tokens": 1, "copied_tokens": 1, "source": "memory",
                          "miss": {"reason": "evicted", "tokens": 2}}},
      "timings": {"queue_ms": 1.5, "ttft_ms": 2.0, "total_ms": 3.0}})"));
  end.kind = TokenEvent::Kind::failed;
  end.error = {ErrorCode::stage_failed, "gone", ""};
  const Json failed = event_frame("a", end);
  EXPECT_EQ(failed["type"], "failed");
  EXPECT_EQ(failed["error"]["code"], "stage_failed");
  end.kind = TokenEvent::Kind::cancelled;
  EXPECT_EQ(event_frame("a", end)["type"], "cancelled");
}

}  // namespace
}  // namespace headwater::gateway
