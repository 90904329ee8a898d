#include "gateway/request_log.h"

#include <gtest/gtest.h>

#include "gateway/json_text.h"
#include "tests/gateway/captured_log.h"
#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using gateway::LogFormat;
using gateway::RefusalBudget;

TEST(RequestLog, WritesOneLineForACallWithItsTokensAndTimes) {
  const CapturedLog log(LogFormat::json);
  LiveServer live;
  HttpClient client(live);
  client.post("/v1/completions", {{"prompt", "a secret"}, {"max_tokens", 2}, {"n", 2}});
  const auto lines = log.wait_for("\"request\"");
  ASSERT_EQ(lines.size(), 1U);
  const Json line = Json::parse(lines[0]);
  EXPECT_EQ(line["method"], "POST");
  EXPECT_EQ(line["route"], "/v1/completions");
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["outcome"], "length");
  EXPECT_EQ(line["tokens_in"], 16);
  EXPECT_EQ(line["tokens_cached"], 8);
  EXPECT_EQ(line["tokens_out"], 4);
  EXPECT_EQ(line["ttft_ms"], 2);
  EXPECT_GE(line["ms"], 0);
  EXPECT_FALSE(line.contains("client"));
}

TEST(RequestLog, TellsOfStreamsThatEndAndOfClientsThatGo) {
  const CapturedLog log;
  LiveServer live;
  {
    HttpClient client(live);
    client.post("/v1/chat/completions", {{"messages", {{{"role", "user"}, {"content", "x"}}}}, {"stream", true}});
  }
  EXPECT_EQ(log.wait_for("outcome=stop").size(), 1U);
  live.runtime.hold();
  {
    HttpClient client(live);
    client.send(http::verb::post, "/v1/completions", Json{{"prompt", "x"}, {"stream", true}}.dump());
    ASSERT_TRUE(live.runtime.wait_accepted(2));
  }
  EXPECT_EQ(log.wait_for("outcome=disconnected").size(), 1U);
}

TEST(RequestLog, ShowsNeitherPromptsNorAnswersNorKeys) {
  const CapturedLog log(LogFormat::text, spdlog::level::trace);
  gateway::ServerOptions options;
  options.api_keys = {"sk-hidden"};
  LiveServer live(options);
  const auto post = [&](const char* target, const char* key) {
    HttpClient(live).post(target, {{"prompt", "hush"}}, {{"Authorization", key}});
  };
  post("/v1/completions", "Bearer sk-hidden");
  post("/v1/completions?key=sk-hidden", "Bearer sk-wrong");
  post("/v1/hush", "Bearer sk-hidden");
  WsClient socket(live, "Bearer sk-hidden");
  socket.send({{"type", "generate"}, {"id", "hush hush\n"}, {"prompt", "hush"}});
  socket.receive("finished");
  ASSERT_EQ(log.wait_for("request id", 5).size(), 5U);
  for (const char* secret : {"sk-", "w0 w1", "prompt"}) EXPECT_EQ(log.lines(secret).size(), 0U) << secret;
  // The tenant is told by the beginning of its digest; an id that is no id, without what it may not hold.
  EXPECT_EQ(log.lines("client=").size(), 4U);
  EXPECT_EQ(log.lines("hush hush").size(), 0U);
}

TEST(RequestLog, TellsOfRequestsOverWebSocketByTheirOwnIds) {
  const CapturedLog log;
  LiveServer live;
  {
    WsClient socket(live);
    socket.send({{"type", "generate"}, {"id", "a"}, {"prompt", "x"}});
    socket.receive("finished");
    socket.send({{"type", "generate"}, {"id", "b"}, {"prompt", 7}});
    socket.receive("error");
    live.runtime.hold();
    socket.send({{"type", "generate"}, {"id", "c"}, {"prompt", "x"}});
    socket.receive("accepted");
  }
  EXPECT_EQ(log.wait_for("outcome=disconnected").size(), 1U);
  const auto frames = log.lines("method=WS");
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_NE(frames[0].find("/a method=WS route=/v1/stream outcome=stop"), std::string::npos) << frames[0];
  EXPECT_NE(frames[1].find("/b method=WS route=/v1/stream outcome=invalid_request"), std::string::npos) << frames[1];
  EXPECT_NE(frames[2].find("/c method=WS route=/v1/stream outcome=disconnected"), std::string::npos) << frames[2];
  EXPECT_EQ(log.lines("status=101").size(), 1U);
}

TEST(RequestLog, LeavesProbesToTheLevelDebug) {
  const CapturedLog log;
  LiveServer live;
  HttpClient client(live);
  client.get("/health");
  client.get("/metrics");
  client.get("/v1/models");
  EXPECT_EQ(log.wait_for("request id").size(), 1U);
}

TEST(RequestLog, GivesEveryAnswerItsId) {
  LiveServer live;
  HttpClient client(live), another(live);
  const auto id = [&](const Answer& answer) { return answer.header("X-Request-Id"); };
  EXPECT_EQ(id(client.post("/v1/completions", {{"prompt", "x"}}, {{"X-Request-Id", "mine-1"}})), "mine-1");
  EXPECT_EQ(id(client.post("/v1/completions", {{"prompt", "x"}, {"stream", true}}, {{"X-Request-Id", "mine-2"}})),
            "mine-2");
  EXPECT_EQ(id(client.post("/v1/completions", {{"prompt", 7}}, {{"X-Request-Id", "mine-3"}})), "mine-3");
  EXPECT_EQ(id(client.post("/nowhere", {}, {{"X-Request-Id", "mine-4"}})), "mine-4");
  EXPECT_TRUE(id(another.get("/health")).starts_with("req-"));
  EXPECT_TRUE(id(another.post("/v1/completions", {{"prompt", "x"}}, {{"X-Request-Id", "a b"}})).starts_with("req-"));
}

TEST(RefusalBudget, LeavesOutWhatIsTooMuchForASecondAndCountsIt) {
  RefusalBudget budget;
  auto now = RefusalBudget::Time{} + std::chrono::hours(1);
  for (std::uint32_t i = 0; i < RefusalBudget::kLinesPerSecond; ++i) EXPECT_TRUE(budget.spend("overloaded", now));
  EXPECT_FALSE(budget.spend("overloaded", now));
  EXPECT_FALSE(budget.spend("overloaded", now));
  EXPECT_FALSE(budget.spend("invalid_request", now));
  EXPECT_TRUE(budget.take_untold(now).empty());
  now += std::chrono::seconds(1);
  const std::map<std::string, std::uint64_t> expected{{"overloaded", 2}, {"invalid_request", 1}};
  EXPECT_EQ(budget.take_untold(now), expected);
  EXPECT_TRUE(budget.take_untold(now).empty());
  EXPECT_TRUE(budget.spend("overloaded", now));
}

TEST(RefusalBudget, RemembersAFewReasonsOnly) {
  RefusalBudget budget;
  const auto now = RefusalBudget::Time{} + std::chrono::hours(1);
  for (int i = 0; i < 1000; ++i) budget.spend("reason " + std::to_string(i), now);
  EXPECT_LE(budget.take_untold(now + std::chrono::seconds(2)).size(), 33U);
}

TEST(RequestLog, TellsOfAFloodOfRefusalsInOneLine) {
  const CapturedLog log;
  gateway::RequestLog requests;
  gateway::RequestRecord record;
  record.status = 429;
  record.error = "overloaded";
  for (int i = 0; i < 5000; ++i) requests.ended(record);
  EXPECT_LT(log.lines("outcome=overloaded").size(), 200U);
  for (int i = 0; i < 20'000 && log.lines("refusals_not_listed").empty(); ++i) {
    requests.tell_untold();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_NE(log.lines("refusals_not_listed overloaded=").size(), 0U);
}

}  // namespace
}  // namespace headwater::test
