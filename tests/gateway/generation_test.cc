#include "gateway/generation.h"

#include <gtest/gtest.h>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

Json chat(const Json& more = Json::object()) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
  body.update(more);
  return body;
}

TEST(Generation, AnswersAChatWhole) {
  LiveServer live;
  const Answer answer = HttpClient(live).post("/v1/chat/completions", chat({{"max_tokens", 3}}));
  ASSERT_EQ(answer.status, 200U);
  EXPECT_EQ(answer.header("Content-Type"), "application/json");
  const Json json = answer.json();
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(json["choices"][0]["message"]["content"], " w0 w1 w2");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 3);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cache"]["miss"]["reason"], "evicted");
}

TEST(Generation, StreamsAChatInEvents) {
  LiveServer live;
  const Answer answer =
      HttpClient(live).post("/v1/chat/completions",
                            chat({{"max_tokens", 3}, {"stream", true}, {"stream_options", {{"include_usage", true}}}}));
  EXPECT_EQ(answer.header("Content-Type"), "text/event-stream; charset=utf-8");
  const auto events = answer.events();
  ASSERT_EQ(events.size(), 7U);  // role, three words, the reason, usage, the end
  EXPECT_EQ(Json::parse(events[0])["choices"][0]["delta"]["role"], "assistant");
  std::string text;
  for (int i = 1; i <= 3; ++i) text += Json::parse(events[i])["choices"][0]["delta"]["content"].get<std::string>();
  EXPECT_EQ(text, " w0 w1 w2");
  EXPECT_EQ(Json::parse(events[4])["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(Json::parse(events[5])["usage"]["completion_tokens"], 3);
  EXPECT_EQ(events[6], "[DONE]");
}

TEST(Generation, GoesOnWithTheConnectionAfterAStream) {
  LiveServer live;
  HttpClient client(live);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.post("/v1/completions", {{"prompt", "x"}, {"stream", true}}).events().back(), "[DONE]");
  }
}

TEST(Generation, AnswersEveryPromptWithItsChoicesInOrder) {
  LiveServer live;
  live.runtime.limit_in_flight(2);  // less credit than choices: the others follow as these end
  const Answer answer = HttpClient(live).post(
      "/v1/completions", {{"prompt", {"a", "bb", "ccc"}}, {"n", 2}, {"max_tokens", 2}, {"echo", true}, {"seed", 5}});
  ASSERT_EQ(answer.status, 200U);
  const Json choices = answer.json()["choices"];
  ASSERT_EQ(choices.size(), 6U);
  const char* expected[] = {"a w0 w1", "a w0 w1", "bb w0 w1", "bb w0 w1", "ccc w0 w1", "ccc w0 w1"};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(choices[i]["index"], i);
    EXPECT_EQ(choices[i]["text"], expected[i]);
  }
  EXPECT_EQ(answer.json()["usage"]["prompt_tokens"], 6);
  EXPECT_EQ(live.runtime.requests()[1].params.seed, 6U);
  EXPECT_EQ(live.runtime.stats().rejected(), 0U) << "a choice that waits is not refused";
}

TEST(Generation, ScoresTextAsEvaluationHarnessesAskForIt) {
  LiveServer live;
  const Answer answer = HttpClient(live).post("/v1/completions", {{"prompt", Json::array({{104, 105, 33}})},
                                                                  {"max_tokens", 1},
                                                                  {"echo", true},
                                                                  {"logprobs", 1},
                                                                  {"temperature", 0}});
  ASSERT_EQ(answer.status, 200U);
  const Json choice = answer.json()["choices"][0];
  EXPECT_EQ(choice["text"], "hi! w0");
  EXPECT_EQ(choice["logprobs"]["tokens"], Json::array({"h", "i", "!", " w0"}));
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], Json::array({nullptr, -1.0, -2.0, -0.5}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], Json::array({0, 1, 2, 3}));
}

TEST(Generation, GivesEachErrorItsStatus) {
  LiveServer live;
  HttpClient client(live);
  EXPECT_EQ(client.post_text("/v1/chat/completions", "{oops").status, 400U);
  EXPECT_EQ(client.post_text("/v1/chat/completions", "[]").status, 400U);
  EXPECT_EQ(client.post("/v1/chat/completions", chat({{"temperature", 1e9}})).param(), "temperature");
  EXPECT_EQ(client.post("/v1/chat/completions", chat({{"model", "gpt"}})).status, 404U);
  EXPECT_EQ(client.post("/v1/chat/completions", chat({{"model", "gpt"}})).code(), "model_not_found");
  const Answer unknown_ids = client.post("/v1/completions", {{"prompt", {300}}, {"echo", true}});
  EXPECT_EQ(unknown_ids.status, 400U);
  EXPECT_EQ(unknown_ids.param(), "prompt");
  for (const bool stream : {false, true}) {  // the status is right for a stream too, while it has not begun
    const Answer too_long = client.post("/v1/completions", {{"prompt", "TOO LONG"}, {"stream", stream}});
    EXPECT_EQ(too_long.status, 400U);
    EXPECT_EQ(too_long.code(), "context_length_exceeded");
  }
  live.runtime.refuse_with(Error{ErrorCode::overloaded, "no credit", ""});
  const Answer overloaded = client.post("/v1/chat/completions", chat());
  EXPECT_EQ(overloaded.status, 429U);
  EXPECT_EQ(overloaded.header("Retry-After"), "1");
  EXPECT_FALSE(Json::parse(overloaded.body)["error"].contains("retry_after")) << "it is not known";
  live.runtime.refuse_with(Error{ErrorCode::overloaded, "no credit", "", 17});
  for (const bool stream : {false, true}) {
    const Answer later = client.post("/v1/chat/completions", chat({{"stream", stream}}));
    EXPECT_EQ(later.status, 429U);
    EXPECT_EQ(later.header("Retry-After"), "17");
    EXPECT_EQ(Json::parse(later.body)["error"]["retry_after"], 17);
  }
  live.runtime.refuse_with(std::nullopt);
  live.runtime.drain_now();
  EXPECT_EQ(client.post("/v1/chat/completions", chat()).status, 503U);
}

TEST(Generation, EndsAStreamThatBreaksWithAnError) {
  LiveServer live;
  HttpClient client(live);
  const Answer whole = client.post("/v1/completions", {{"prompt", "BREAK"}});
  EXPECT_EQ(whole.status, 500U);
  EXPECT_EQ(whole.code(), "stage_failed");
  live.runtime.hold();
  client.send(http::verb::post, "/v1/completions", Json{{"prompt", "BREAK"}, {"stream", true}}.dump());
  ASSERT_TRUE(live.runtime.wait_accepted(2));
  live.runtime.let_through(1);
  std::string text;
  const auto read_until = [&](const char* wanted) {
    char data[4096];
    while (text.find(wanted) == std::string::npos) text.append(data, client.socket().read_some(net::buffer(data)));
  };
  read_until(" w0");
  live.runtime.release();
  read_until("data: [DONE]");
  EXPECT_NE(text.find("200 OK"), std::string::npos);
  EXPECT_LT(text.find(" w1"), text.find("stage_failed"));
  EXPECT_LT(text.find("stage_failed"), text.find("data: [DONE]"));
}

TEST(Generation, AnswersTheNextRequestHoweverQuicklyTheLastOneEnded) {
  LiveServer live;
  HttpClient client(live);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(client.post("/v1/completions", {{"prompt", "TOO LONG"}}).status, 400U);
  }
}

TEST(Generation, CancelsTheOtherChoicesWhereOneFails) {
  LiveServer live;
  const Answer answer =
      HttpClient(live).post("/v1/completions", {{"prompt", {"fine", "BREAK"}}, {"max_tokens", 100'000}});
  EXPECT_EQ(answer.status, 500U);
  EXPECT_TRUE(live.runtime.wait_cancelled(1));
}

TEST(Generation, SavesUpNothingForAReaderThatIsTooSlow) {
  gateway::ServerOptions options;
  options.max_unsent_bytes = 64 << 10;
  options.stall_timeout = std::chrono::milliseconds(0);
  LiveServer live(options);
  live.runtime.pad_words(100'000);
  live.runtime.hold();
  HttpClient slow(live);
  slow.send(http::verb::post, "/v1/completions",
            Json{{"prompt", "x"}, {"stream", true}, {"max_tokens", 100'000}}.dump());
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  live.runtime.let_through(500);
  EXPECT_TRUE(live.runtime.wait_cancelled(1));
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
}

TEST(Generation, ScoresAPromptOnceHoweverManyChoicesItHas) {
  LiveServer live;
  const Json body = {{"prompt", {"ab", "cde"}}, {"n", 3}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 2}};
  const Json answer = HttpClient(live).post("/v1/completions", body).json();
  ASSERT_EQ(answer["choices"].size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    const Json& choice = answer["choices"][i];
    EXPECT_EQ(choice["index"], i);
    EXPECT_EQ(choice["text"], (i < 3 ? "ab w0 w1" : "cde w0 w1"));
    EXPECT_EQ(choice["logprobs"], answer["choices"][i - i % 3]["logprobs"]);
    EXPECT_EQ(choice["logprobs"]["tokens"].size(), i < 3 ? 4U : 5U);
  }
  EXPECT_EQ(answer["usage"]["completion_tokens"], 12);
  int scored = 0;
  for (const Request& request : live.runtime.requests()) scored += request.params.prompt_logprobs ? 1 : 0;
  EXPECT_EQ(live.runtime.requests().size(), 6U);
  EXPECT_EQ(scored, 2);
}

TEST(Generation, ComputesNothingButTheScoresWhereNothingElseIsWanted) {
  LiveServer live;
  const Json body = {{"prompt", "ab"}, {"n", 3}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 0}};
  const Json answer = HttpClient(live).post("/v1/completions", body).json();
  ASSERT_EQ(answer["choices"].size(), 3U);
  EXPECT_EQ(answer["choices"][2]["text"], "ab");
  EXPECT_EQ(answer["choices"][2]["logprobs"], answer["choices"][0]["logprobs"]);
  EXPECT_EQ(answer["choices"][2]["finish_reason"], "length");
  EXPECT_EQ(live.runtime.requests().size(), 1U);
}

TEST(Generation, StreamsTheScoresOfAPromptInFrontOfEachChoice) {
  LiveServer live;
  for (const int most : {0, 2}) {
    const Json body = {{"prompt", "ab"},     {"n", 2},        {"echo", true}, {"logprobs", 1},
                       {"max_tokens", most}, {"stream", true}};
    std::map<int, std::string> texts;
    std::map<int, int> ends;
    const auto events = HttpClient(live).post("/v1/completions", body).events();
    for (const auto& event : events) {
      if (event == "[DONE]") continue;
      const Json choice = Json::parse(event)["choices"][0];
      const int index = choice["index"];
      if (texts[index].empty()) {
        EXPECT_EQ(choice["logprobs"]["tokens"], Json::array({"a", "b"}));
      }
      texts[index] += choice["text"].get<std::string>();
      ends[index] += choice["finish_reason"].is_null() ? 0 : 1;
    }
    const std::string whole = most == 0 ? "ab" : "ab w0 w1";
    EXPECT_EQ(texts, (std::map<int, std::string>{{0, whole}, {1, whole}}));
    EXPECT_EQ(ends, (std::map<int, int>{{0, 1}, {1, 1}}));
  }
}

TEST(Generation, RefusesBeforehandWhatWouldTakeTooMuchMemory) {
  gateway::ServerOptions options;
  options.max_answer_bytes = 1 << 20;
  LiveServer live(options);
  Json body = {{"prompt", std::string(500, 'x')}, {"echo", true}, {"logprobs", 20}, {"max_tokens", 0}, {"n", 16}};
  const Answer refused = HttpClient(live).post("/v1/completions", body);
  EXPECT_EQ(refused.status, 400U);
  EXPECT_EQ(refused.param(), "logprobs");
  EXPECT_TRUE(live.runtime.requests().empty());
  body["logprobs"] = 0;
  body["n"] = 1;
  EXPECT_EQ(HttpClient(live).post("/v1/completions", body).status, 200U);
}

TEST(Generation, TellsTheUsageInEveryChunkWhereAsked) {
  LiveServer live;
  const Json options = {{"include_usage", true}, {"continuous_usage_stats", true}};
  const auto events =
      HttpClient(live)
          .post("/v1/chat/completions", chat({{"max_tokens", 2}, {"stream", true}, {"stream_options", options}}))
          .events();
  ASSERT_EQ(events.size(), 6U);  // role, two words, the reason, usage, the end
  std::vector<int> completion;
  for (int i = 0; i < 5; ++i) {
    completion.push_back(Json::parse(events[i])["usage"]["completion_tokens"]);
    EXPECT_EQ(Json::parse(events[i])["usage"]["prompt_tokens"], 8);
  }
  EXPECT_EQ(completion, (std::vector<int>{0, 1, 2, 2, 2}));
}

TEST(Generation, IgnoresUnknownFieldsUnlessItIsToldToBeStrict) {
  LiveServer lenient;
  EXPECT_EQ(HttpClient(lenient).post("/v1/chat/completions", chat({{"chat_id", "x"}})).status, 200U);
  EXPECT_EQ(HttpClient(lenient).post("/v1/chat/completions", chat({{"guided_json", {{"a", 1}}}})).param(),
            "guided_json");
  gateway::ServerOptions options;
  options.strict_fields = true;
  LiveServer strict(options);
  EXPECT_EQ(HttpClient(strict).post("/v1/chat/completions", chat({{"chat_id", "x"}})).code(), "unknown_parameter");
}

TEST(Generation, PassesOnWhatIsSaidOfTheCache) {
  LiveServer live;
  HttpClient(live).post("/v1/chat/completions", chat({{"cache_salt", "mine"}}));
  EXPECT_EQ(live.runtime.requests().at(0).cache_salt, "mine");
  const Json cache = {{"priority", 7}, {"ttl", "2s"}, {"pin", true}};
  HttpClient(live).post("/v1/chat/completions", chat({{"cache", cache}, {"session", "talk"}}));
  HttpClient(live).post("/v1/completions", {{"prompt", "x"}, {"cache", cache}});
  for (const Request& request : {live.runtime.requests().at(1), live.runtime.requests().at(2)}) {
    EXPECT_EQ(request.cache.priority, 7);
    EXPECT_EQ(request.cache.ttl_ms, 2000U);
    EXPECT_TRUE(request.cache.pin);
  }
  EXPECT_EQ(live.runtime.requests().at(1).session, "talk");
}

}  // namespace
}  // namespace headwater::test
