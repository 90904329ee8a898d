#include "gateway/server.h"

#include <gtest/gtest.h>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using gateway::Server;
using gateway::ServerOptions;

TEST(Server, SaysWhyItCannotListen) {
  LiveServer live;
  FakeRuntime runtime;
  ServerOptions options;
  options.port = live.server->port();
  const auto second = Server::start(runtime, options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::listen_failed);
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(options.port)), std::string::npos);
  options.host = "256.1.2.3";
  EXPECT_EQ(Server::start(runtime, options).error().code, ErrorCode::listen_failed);
}

TEST(Server, RefusesOptionsThatMakeNoSense) {
  FakeRuntime runtime;
  const auto code = [&](ServerOptions options) {
    options.port = 0;
    const auto started = Server::start(runtime, options);
    return started ? ErrorCode::none : started.error().code;
  };
  ServerOptions options;
  options.threads = 0;
  EXPECT_EQ(code(options), ErrorCode::invalid_options);
  options = {};
  options.api_keys = {""};
  EXPECT_EQ(code(options), ErrorCode::invalid_options);
  options = {};
  options.max_connections = 0;
  EXPECT_EQ(code(options), ErrorCode::invalid_options);
}

TEST(Server, TurnsConnectionsAwayWhereAllAreBusyAndTakesThemAgainLater) {
  ServerOptions options;
  options.max_connections = 2;
  LiveServer live(options);
  live.runtime.hold();
  HttpClient first(live), second(live);
  for (HttpClient* client : {&first, &second}) client->send(http::verb::post, "/v1/completions", R"({"prompt": "x"})");
  ASSERT_TRUE(live.runtime.wait_accepted(2));
  HttpClient third(live);
  const Answer answer = third.receive();
  EXPECT_EQ(answer.status, 503U);
  EXPECT_EQ(answer.code(), "too_many_connections");
  EXPECT_TRUE(third.closed());
  live.runtime.release();
  EXPECT_EQ(first.receive().status, 200U);
  EXPECT_EQ(second.receive().status, 200U);
  unsigned status = 503;
  while (status == 503) status = HttpClient(live).get("/health").status;
  EXPECT_EQ(status, 200U);
}

TEST(Server, MakesRoomByEndingTheIdlestConnection) {
  ServerOptions options;
  options.max_connections = 3;
  LiveServer live(options);
  live.runtime.hold();
  WsClient busy(live);
  busy.send({{"type", "generate"}, {"id", "a"}, {"prompt", "x"}, {"params", {{"max_tokens", 1}}}});
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  HttpClient idlest(live);
  EXPECT_EQ(idlest.get("/health").status, 200U);
  WsClient idle(live);
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
  EXPECT_TRUE(idlest.closed());
  live.runtime.release();
  EXPECT_EQ(busy.receive("finished")["id"], "a");
}

TEST(Server, FinishesAnswersUnderWayWhenItIsToldToStopAccepting) {
  LiveServer live;
  live.runtime.hold();
  HttpClient client(live);
  client.send(http::verb::post, "/v1/completions", R"({"prompt": "x", "max_tokens": 2})");
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  live.server->stop_accepting();
  live.runtime.release();
  const Answer answer = client.receive();
  EXPECT_EQ(answer.json()["choices"][0]["text"], " w0 w1");
  EXPECT_TRUE(client.closed());
}

TEST(Server, StopsWithRequestsUnderWayAndCancelsThem) {
  LiveServer live;
  live.runtime.hold();
  HttpClient whole(live);
  whole.send(http::verb::post, "/v1/completions", R"({"prompt": "x"})");
  HttpClient idle(live);
  EXPECT_EQ(idle.get("/health").status, 200U);
  WsClient socket(live);
  socket.send({{"type", "generate"}, {"id", "a"}, {"prompt", "x"}});
  ASSERT_TRUE(live.runtime.wait_accepted(2));
  live.server->stop();
  EXPECT_TRUE(live.runtime.wait_cancelled(2));
  EXPECT_TRUE(whole.closed());
  EXPECT_TRUE(idle.closed());
}

TEST(Server, TellsWebSocketsThatItGoesAway) {
  LiveServer live;
  WsClient socket(live);
  socket.send({{"type", "generate"}, {"id", "a"}, {"prompt", "x"}, {"params", {{"max_tokens", 1}}}});
  EXPECT_EQ(socket.receive("finished")["id"], "a");
  std::thread stopping([&] { live.server->stop(); });
  EXPECT_TRUE(socket.receive().is_null());
  EXPECT_EQ(socket.close_code(), websocket::close_code::going_away);
  stopping.join();
}

TEST(Server, ServesManyClientsOnManyThreads) {
  ServerOptions options;
  options.threads = 3;
  LiveServer live(options);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      HttpClient client(live);
      for (int k = 0; k < 5; ++k) {
        const Answer answer =
            client.post("/v1/completions", {{"prompt", "x"}, {"max_tokens", 4}, {"stream", k % 2 == 0}});
        right += answer.status == 200;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 80);
}

}  // namespace
}  // namespace headwater::test
