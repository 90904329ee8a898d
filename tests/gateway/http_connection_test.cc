#include "gateway/http_connection.h"

#include <gtest/gtest.h>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using gateway::ServerOptions;
using std::chrono::milliseconds;

const Json kChat = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};

TEST(HttpConnection, AnswersManyRequestsOnOneConnection) {
  LiveServer live;
  HttpClient client(live);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client.get("/health").status, 200U);
    EXPECT_EQ(client.post("/v1/chat/completions", kChat).status, 200U);
  }
}

TEST(HttpConnection, AnswersPipelinedRequestsInTheirOrder) {
  LiveServer live;
  HttpClient client(live);
  live.runtime.hold();
  client.send(http::verb::post, "/v1/chat/completions", kChat.dump());
  client.send(http::verb::get, "/v1/models");
  client.send(http::verb::get, "/nowhere");
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  live.runtime.release();
  EXPECT_EQ(client.receive().json()["object"], "chat.completion");
  EXPECT_EQ(client.receive().json()["object"], "list");
  EXPECT_EQ(client.receive().status, 404U);
}

TEST(HttpConnection, SaysWhichMethodsAPathTakes) {
  LiveServer live;
  HttpClient client(live);
  const Answer get = client.get("/v1/chat/completions");
  EXPECT_EQ(get.status, 405U);
  EXPECT_EQ(get.header("Allow"), "POST");
  EXPECT_EQ(get.code(), "method_not_allowed");
  client.send(http::verb::delete_, "/health");
  const Answer other = client.receive();
  EXPECT_EQ(other.status, 405U);
  EXPECT_EQ(other.header("Allow"), "GET, HEAD");
  const Answer with_body = client.post("/v1/models", kChat);
  EXPECT_EQ(with_body.status, 405U);
  EXPECT_TRUE(client.closed());
}

TEST(HttpConnection, AnswersHeadWithoutABody) {
  LiveServer live;
  HttpClient client(live);
  client.send(http::verb::head, "/health");
  const Answer head = client.receive(true);
  EXPECT_EQ(head.status, 200U);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(client.get("/health").status, 200U);
}

TEST(HttpConnection, Answers404ForAnUnknownPath) {
  LiveServer live;
  const Answer answer = HttpClient(live).get("/v2/models");
  EXPECT_EQ(answer.status, 404U);
  EXPECT_EQ(answer.code(), "not_found");
}

TEST(HttpConnection, TakesOnlyJson) {
  LiveServer live;
  const auto status = [&](const std::string& type) {
    return HttpClient(live).post_text("/v1/chat/completions", kChat.dump(), {{"Content-Type", type}}).status;
  };
  EXPECT_EQ(status("text/plain"), 415U);
  EXPECT_EQ(status("application/x-www-form-urlencoded"), 415U);
  EXPECT_EQ(status("application/json; charset=utf-8"), 200U);
  EXPECT_EQ(status("Application/JSON"), 200U);
}

TEST(HttpConnection, WantsAKeyWhereKeysAreSet) {
  ServerOptions options;
  options.api_keys = {"alpha", "beta"};
  LiveServer live(options);
  const auto answer = [&](const std::string& authorization) {
    return HttpClient(live).post("/v1/chat/completions", kChat, {{"Authorization", authorization}});
  };
  EXPECT_EQ(answer("Bearer alpha").status, 200U);
  EXPECT_EQ(answer("bearer beta").status, 200U);
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaa", "Basic alpha", "alpha"}) {
    const Answer refused = answer(wrong);
    EXPECT_EQ(refused.status, 401U) << wrong;
    EXPECT_EQ(refused.code(), "invalid_api_key");
  }
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
  EXPECT_EQ(HttpClient(live).get("/ready").status, 200U);
  EXPECT_EQ(HttpClient(live).get("/metrics").status, 401U);
  EXPECT_EQ(HttpClient(live).get("/v1/models").status, 401U);
  const auto requests = live.runtime.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_NE(requests[0].tenant, "");
  EXPECT_NE(requests[0].tenant, requests[1].tenant);
}

TEST(HttpConnection, RefusesABodyThatIsTooLargeBeforeReadingIt) {
  ServerOptions options;
  options.max_body_bytes = 1000;
  LiveServer live(options);
  HttpClient announced(live);
  announced.send_raw(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
      "5000000000\r\n\r\n");
  EXPECT_EQ(announced.receive().status, 413U);
  EXPECT_TRUE(announced.closed());

  HttpClient chunked(live);
  chunked.send_raw(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  chunked.send_raw("800\r\n" + std::string(0x800, ' ') + "\r\n");
  const Answer answer = chunked.receive();
  EXPECT_EQ(answer.status, 413U);
  EXPECT_EQ(answer.code(), "payload_too_large");
}

TEST(HttpConnection, TakesABodyInChunks) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  client.send_raw("b\r\n{\"prompt\": \r\n5\r\n\"ab\"}\r\n0\r\n\r\n");
  EXPECT_EQ(client.receive().json()["count"], 3);
}

TEST(HttpConnection, AsksForTheBodyWhereTheClientWaitsToBeAsked) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\nExpect: "
      "100-continue\r\n\r\n");
  char line[25] = {};
  net::read(client.socket(), net::buffer(line, 25));
  EXPECT_EQ(std::string(line, 25), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send_raw("{\"prompt\": \"ab\"}");
  EXPECT_EQ(client.receive().json()["count"], 3);
}

TEST(HttpConnection, RefusesWhatIsNotHttp) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw("EHLO example.org\r\n\r\n");
  EXPECT_EQ(client.receive().status, 400U);
  EXPECT_TRUE(client.closed());
}

TEST(HttpConnection, RefusesAnEndlessHeader) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw("GET /health HTTP/1.1\r\nX: " + std::string(40'000, 'x'));
  EXPECT_EQ(client.receive().status, 431U);
}

TEST(HttpConnection, ClosesAConnectionWhoseHeaderOrBodyDoesNotCome) {
  ServerOptions options;
  options.header_timeout = options.body_timeout = options.idle_timeout = milliseconds(100);
  LiveServer live(options);
  HttpClient silent(live);
  HttpClient slow_header(live);
  slow_header.send_raw("GET /health HTTP/1.1\r\nX: ");
  HttpClient slow_body(live);
  slow_body.send_raw(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{");
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(slow_header.closed());
  EXPECT_TRUE(slow_body.closed());
}

TEST(HttpConnection, CancelsTheRequestOfAClientThatGoes) {
  LiveServer live;
  live.runtime.hold();
  {
    HttpClient whole(live);
    whole.send(http::verb::post, "/v1/chat/completions", kChat.dump());
    Json streamed = kChat;
    streamed["stream"] = true;
    HttpClient stream(live);
    stream.send(http::verb::post, "/v1/chat/completions", streamed.dump());
    ASSERT_TRUE(live.runtime.wait_accepted(2));
    live.runtime.let_through(2);
  }
  EXPECT_TRUE(live.runtime.wait_cancelled(2));
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
}

TEST(HttpConnection, AnswersHttp10AndCloses) {
  LiveServer live;
  HttpClient client(live);
  Json body = kChat;
  body["stream"] = true;
  const std::string text = body.dump();
  client.send_raw("POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
                  std::to_string(text.size()) + "\r\n\r\n" + text);
  const Answer answer = client.receive();
  EXPECT_EQ(answer.header("Transfer-Encoding"), "");
  ASSERT_FALSE(answer.events().empty());
  EXPECT_EQ(answer.events().back(), "[DONE]");
}

TEST(HttpConnection, SaysThatTheStreamIsForWebSockets) {
  LiveServer live;
  const Answer answer = HttpClient(live).get("/v1/stream");
  EXPECT_EQ(answer.status, 426U);
  EXPECT_EQ(answer.code(), "websocket_expected");
}

constexpr std::string_view kChunked =
    "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

/// What the server answers to `text`, sent on a connection of its own.
Answer answer_to(const LiveServer& live, const std::string& text) {
  HttpClient client(live);
  client.send_raw(text);
  return client.receive();
}

TEST(HttpConnection, CountsTrailersAndChunkExtensionsAgainstTheHeaderLimit) {
  LiveServer live;
  const std::string begin(kChunked);
  EXPECT_EQ(answer_to(live, begin + "0\r\nX: " + std::string(70'000, 'a') + "\r\n\r\n").status, 431U);
  EXPECT_EQ(answer_to(live, begin + "0\r\n" + std::string(70'000, 'a') + ": x\r\n\r\n").status, 431U);
  EXPECT_EQ(answer_to(live, begin + "2;" + std::string(70'000, 'a') + "\r\n{}\r\n0\r\n\r\n").status, 431U);
  std::string many = begin + "0\r\n";
  for (int i = 0; i < 10'000; ++i) many += "A: b\r\n";
  EXPECT_EQ(answer_to(live, many + "\r\n").status, 431U);
  std::string extended = begin;
  for (int i = 0; i < 100; ++i) extended += "1;" + std::string(1000, 'a') + "\r\n \r\n";
  EXPECT_EQ(answer_to(live, extended + "0\r\n\r\n").status, 431U);
  EXPECT_EQ(answer_to(live, begin + "2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n").code(), "invalid_request");
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
}

TEST(HttpConnection, ReadsNoBodyWhereARouteTakesNone) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\nGET /nowhere HTTP/1.1\r\n");
  EXPECT_EQ(client.receive().status, 200U);
  EXPECT_TRUE(client.closed());
}

TEST(HttpConnection, ClosesAfterAHeadThatTwoReadersWouldFrameDifferently) {
  LiveServer live;
  for (const auto& [coding, status] :
       {std::pair("identity", 400U), std::pair("gzip, chunked", 501U), std::pair("chunked, chunked", 400U)}) {
    HttpClient client(live);
    client.send_raw("POST /tokenize HTTP/1.1\r\nContent-Type: application/json\r\nHost: localhost\r\n" +
                    ("Transfer-Encoding: " + std::string(coding)) +
                    "\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.receive().status, status) << coding;
    EXPECT_TRUE(client.closed());
  }
  for (const char* head :
       {"Host: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        "Host: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "Host: localhost\r\nContent-Length: 5\r\nContent-Length: 5", "Host: localhost\r\nContent-Length: +5", "X: y",
        "Host: localhost\r\nHost: localhost", "Host: a/b"}) {
    HttpClient client(live);
    client.send_raw("POST /tokenize HTTP/1.1\r\n" + std::string(head) + "\r\n\r\n");
    EXPECT_EQ(client.receive().status, 400U) << head;
    EXPECT_TRUE(client.closed());
  }
}

TEST(HttpConnection, AnswersAnExceptionAndServesOthersOn) {
  LiveServer live;
  HttpClient other(live);
  EXPECT_EQ(other.get("/health").status, 200U);
  live.runtime.throw_from_now_on([] { throw std::bad_alloc(); });
  const Answer memory = HttpClient(live).post("/tokenize", {{"prompt", "x"}});
  EXPECT_EQ(memory.status, 503U);
  EXPECT_EQ(memory.code(), "unavailable");
  EXPECT_EQ(HttpClient(live).post("/v1/completions", {{"prompt", "x"}}).status, 503U);
  live.runtime.throw_from_now_on([] { throw std::runtime_error("oops"); });
  HttpClient client(live);
  const Answer bug = client.get("/metrics");
  EXPECT_EQ(bug.status, 500U);
  EXPECT_EQ(bug.code(), "computation_failed");
  EXPECT_TRUE(client.closed());
  live.runtime.throw_from_now_on([] { throw 5; });  // NOLINT(hicpp-exception-baseclass)
  EXPECT_EQ(HttpClient(live).post("/v1/chat/completions", kChat).status, 500U);
  live.runtime.throw_from_now_on({});
  EXPECT_EQ(other.post("/v1/chat/completions", kChat).status, 200U);
}

TEST(HttpConnection, LetsNoWebPageUseItThatIsNotAllowed) {
  ServerOptions options;
  options.allow_origins = {"https://app.example"};
  LiveServer live(options);
  const Answer foreign = HttpClient(live).post("/tokenize", {{"prompt", "x"}}, {{"Origin", "https://evil.example"}});
  EXPECT_EQ(foreign.status, 403U);
  EXPECT_EQ(foreign.code(), "foreign_origin");
  EXPECT_EQ(foreign.header("Access-Control-Allow-Origin"), "");
  const Answer allowed = HttpClient(live).post("/tokenize", {{"prompt", "x"}}, {{"Origin", "https://app.example"}});
  EXPECT_EQ(allowed.status, 200U);
  EXPECT_EQ(allowed.header("Access-Control-Allow-Origin"), "https://app.example");
  const Answer rebound = HttpClient(live).get("/health", {{"Host", "evil.example"}});
  EXPECT_EQ(rebound.status, 403U);
  EXPECT_EQ(rebound.code(), "foreign_host");
  EXPECT_EQ(HttpClient(live).post_text("/tokenize", "{}", {{"Content-Type", ""}}).status, 415U);
}

TEST(HttpConnection, TellsABrowserWhatAnAllowedPageMaySend) {
  ServerOptions options;
  options.allow_origins = {"*"};
  options.api_keys = {"alpha"};
  LiveServer live(options);
  HttpClient client(live);
  client.send(http::verb::options, "/v1/chat/completions", "",
              {{"Origin", "https://app.example"},
               {"Access-Control-Request-Method", "POST"},
               {"Access-Control-Request-Headers", "authorization,x-stainless-os"}});
  const Answer preflight = client.receive();
  EXPECT_EQ(preflight.status, 204U);
  EXPECT_EQ(preflight.header("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_EQ(preflight.header("Access-Control-Allow-Methods"), "POST");
  EXPECT_EQ(preflight.header("Access-Control-Allow-Headers"), "authorization,x-stainless-os");
  EXPECT_EQ(client.get("/health").status, 200U) << "the connection goes on";
}

TEST(HttpConnection, TakesAbsoluteTargetsAndEmptyLines) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw("\r\n\r\nGET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.receive().status, 200U);
  client.send_raw("\r");
  client.send_raw("\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.receive().status, 200U);
  HttpClient endless(live);
  for (int i = 0; i < 40; ++i) endless.send_raw("\r\n");
  EXPECT_TRUE(endless.closed());
}

TEST(HttpConnection, SaysTheTimeInEveryAnswer) {
  LiveServer live;
  EXPECT_TRUE(HttpClient(live).get("/health").header("Date").ends_with(" GMT"));
  EXPECT_TRUE(HttpClient(live).get("/nowhere").header("Date").ends_with(" GMT"));
  EXPECT_TRUE(answer_to(live, "oops\r\n\r\n").header("Date").ends_with(" GMT"));
  Json body = kChat;
  body["stream"] = true;
  EXPECT_TRUE(HttpClient(live).post("/v1/chat/completions", body).header("Date").ends_with(" GMT"));
}

TEST(HttpConnection, SaysThatACompressedBodyIsNotUnderstood) {
  LiveServer live;
  const Answer answer = HttpClient(live).post("/tokenize", {{"prompt", "x"}}, {{"Content-Encoding", "gzip"}});
  EXPECT_EQ(answer.status, 415U);
  EXPECT_NE(answer.message().find("gzip"), std::string::npos);
}

TEST(HttpConnection, AnswersARequestThatDoesNotComeInTime) {
  ServerOptions options;
  options.body_timeout = options.header_timeout = milliseconds(100);
  LiveServer live(options);
  EXPECT_EQ(answer_to(live, std::string(kChunked) + "2\r\n{").status, 408U);
  EXPECT_EQ(answer_to(live, "GET /health HT").status, 408U);
}

TEST(HttpConnection, RefusesBodiesForWhichThereIsNoRoom) {
  ServerOptions options;
  options.max_buffered_bytes = 10'000;
  LiveServer live(options);
  HttpClient slow(live);
  slow.send_raw(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n"
      "Expect: 100-continue\r\n\r\n");
  char line[25] = {};
  net::read(slow.socket(), net::buffer(line, 25));  // its body is being read
  const Answer refused = HttpClient(live).post("/tokenize", {{"prompt", std::string(2000, 'x')}});
  EXPECT_EQ(refused.status, 503U);
  EXPECT_EQ(refused.code(), "unavailable");
  slow.send_raw("{\"prompt\": \"ab\"}" + std::string(9000 - 16, ' '));
  EXPECT_EQ(slow.receive().status, 200U);
  EXPECT_EQ(HttpClient(live).post("/tokenize", {{"prompt", std::string(2000, 'x')}}).status, 200U);
}

}  // namespace
}  // namespace headwater::test
