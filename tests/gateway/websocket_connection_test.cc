#include "gateway/websocket_connection.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using gateway::ServerOptions;

Json generate(const std::string& id, Json params = Json::object()) {
  return {{"type", "generate"}, {"id", id}, {"prompt", "hello"}, {"params", std::move(params)}};
}

TEST(WebSocketConnection, StreamsARequestFromAcceptedToFinished) {
  LiveServer live;
  WsClient client(live);
  client.send(generate("a1", {{"max_tokens", 3}, {"logprobs", 1}}));
  const Json accepted = client.receive();
  EXPECT_EQ(accepted["type"], "accepted");
  EXPECT_EQ(accepted["id"], "a1");
  EXPECT_EQ(accepted["position"], 0);
  for (int i = 0; i < 3; ++i) {
    const Json token = client.receive();
    EXPECT_EQ(token["type"], "token");
    EXPECT_EQ(token["seq"], i);
    EXPECT_EQ(token["text"], " w" + std::to_string(i));
    EXPECT_EQ(token["token_ids"], Json::array({1000 + i}));
    EXPECT_EQ(token["logprobs"][0]["top"].size(), 1U);
  }
  const Json finished = client.receive();
  EXPECT_EQ(finished["type"], "finished");
  EXPECT_EQ(finished["reason"], "length");
  EXPECT_EQ(finished["usage"]["completion_tokens"], 3);
  EXPECT_EQ(finished["usage"]["cached_tokens"], 2);
  EXPECT_EQ(finished["usage"]["cache"]["source"], "memory");
  EXPECT_EQ(finished["timings"]["ttft_ms"], 2);
}

TEST(WebSocketConnection, CarriesManyRequestsAtOnce) {
  LiveServer live;
  WsClient client(live);
  constexpr int kRequests = 40;
  for (int i = 0; i < kRequests; ++i) client.send(generate("r" + std::to_string(i), {{"max_tokens", 5 + i % 3}}));
  std::map<std::string, std::string> texts;
  for (int ended = 0; ended < kRequests;) {
    const Json frame = client.receive();
    ASSERT_FALSE(frame.is_null());
    if (frame["type"] == "token") texts[frame["id"]] += frame["text"].get<std::string>();
    if (frame["type"] == "finished") ++ended;
  }
  for (int i = 0; i < kRequests; ++i) {
    std::string expected;
    for (int k = 0; k < 5 + i % 3; ++k) expected += " w" + std::to_string(k);
    EXPECT_EQ(texts["r" + std::to_string(i)], expected);
  }
}

TEST(WebSocketConnection, CancelsOneRequestAndNotTheOthers) {
  LiveServer live;
  live.runtime.hold();
  WsClient client(live);
  client.send(generate("a", {{"max_tokens", 100}}));
  client.send(generate("b", {{"max_tokens", 2}}));
  ASSERT_TRUE(live.runtime.wait_accepted(2));
  live.runtime.let_through(1);
  client.send({{"type", "cancel"}, {"id", "a"}});
  const Json cancelled = client.receive("cancelled");
  EXPECT_EQ(cancelled["id"], "a");
  live.runtime.release();
  EXPECT_EQ(client.receive("finished")["id"], "b");
  client.send(generate("a", {{"max_tokens", 1}}));  // an id may be used again once its request has ended
  EXPECT_EQ(client.receive("finished")["id"], "a");
}

TEST(WebSocketConnection, ToldOfAMistakeLivesOn) {
  ServerOptions options;
  options.strict_fields = true;
  LiveServer live(options);
  WsClient client(live);
  const auto error = [&](const std::string& text) {
    client.send_text(text);
    return client.receive();
  };
  const Json broken = error("{oops");
  EXPECT_EQ(broken["type"], "error");
  EXPECT_EQ(broken["error"]["code"], "invalid_json");
  EXPECT_FALSE(broken.contains("id"));
  const Json bad = error(R"({"type": "generate", "id": "x", "prompt": "p", "params": {"temperature": "hot"}})");
  EXPECT_EQ(bad["id"], "x");
  EXPECT_EQ(bad["error"]["param"], "params.temperature");
  EXPECT_EQ(error(R"({"type": "cancel", "id": "never"})")["error"]["code"], "not_found");
  client.send_binary("\x01\x02");
  EXPECT_EQ(client.receive()["type"], "error");
  client.send(generate("ok", {{"max_tokens", 1}}));
  EXPECT_EQ(client.receive("finished")["id"], "ok");
}

TEST(WebSocketConnection, RefusesAnIdThatIsUnderWay) {
  LiveServer live;
  live.runtime.hold();
  WsClient client(live);
  client.send(generate("a"));
  client.send(generate("a"));
  const Json error = client.receive("error");
  EXPECT_EQ(error["id"], "a");
  EXPECT_EQ(error["error"]["code"], "duplicate_id");
  live.runtime.release();
  EXPECT_EQ(client.receive("finished")["id"], "a");
}

TEST(WebSocketConnection, PassesOnRefusalsAndFailures) {
  LiveServer live;
  WsClient client(live);
  client.send({{"type", "generate"}, {"id", "f"}, {"prompt", "TOO LONG"}});
  EXPECT_EQ(client.receive("failed")["error"]["code"], "context_length_exceeded");
  client.send({{"type", "generate"}, {"id", "g"}, {"prompt", "BREAK"}});
  const Json failed = client.receive("failed");
  EXPECT_EQ(failed["seq"], 2);
  EXPECT_EQ(failed["error"]["code"], "stage_failed");
  live.runtime.refuse_with(Error{ErrorCode::overloaded, "come later", "", 7});
  client.send(generate("h"));
  const Json refused = client.receive("error");
  EXPECT_EQ(refused["error"]["code"], "overloaded");
  EXPECT_EQ(refused["error"]["retry_after"], 7);
}

TEST(WebSocketConnection, CancelsEverythingOfAClientThatGoes) {
  LiveServer live;
  live.runtime.hold();
  {
    WsClient client(live);
    for (int i = 0; i < 5; ++i) client.send(generate("r" + std::to_string(i)));
    ASSERT_TRUE(live.runtime.wait_accepted(5));
  }
  EXPECT_TRUE(live.runtime.wait_cancelled(5));
}

TEST(WebSocketConnection, CutsOffAReaderThatIsTooSlowAndDisturbsNoOther) {
  ServerOptions options;
  options.max_unsent_bytes = 64 << 10;
  options.stall_timeout = std::chrono::milliseconds(500);
  LiveServer live(options);
  live.runtime.hold();
  WsClient slow(live);
  slow.socket().next_layer().set_option(net::socket_base::receive_buffer_size(4096));
  WsClient other(live);
  slow.send(generate("s", {{"max_tokens", 100'000}}));
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  live.runtime.pad_words(100'000);  // more than the kernel's buffers take, soon
  live.runtime.let_through(500);
  ASSERT_TRUE(live.runtime.wait_cancelled(1));
  live.runtime.pad_words(0);
  live.runtime.release();
  other.send(generate("o", {{"max_tokens", 3}}));
  EXPECT_EQ(other.receive("finished")["id"], "o");
  slow.socket().next_layer().set_option(net::socket_base::receive_buffer_size(1 << 20));
  // Whoever reads on gets what was under way, and then either the close code or the end of the connection.
  while (!slow.receive().is_null()) {
  }
  if (slow.error() == websocket::error::closed) {
    EXPECT_EQ(slow.close_code(), websocket::close_code::policy_error);
  }
}

TEST(WebSocketConnection, RefusesAMessageThatIsTooLarge) {
  ServerOptions options;
  options.max_body_bytes = 1000;
  LiveServer live(options);
  WsClient client(live);
  client.send_text(std::string(2000, ' '));
  EXPECT_TRUE(client.receive().is_null());
  EXPECT_EQ(client.close_code(), websocket::close_code::too_big);
}

TEST(WebSocketConnection, ClosesOnTextThatIsNotUtf8) {
  LiveServer live;
  WsClient client(live);
  client.send_text("\"\xff\"");
  EXPECT_TRUE(client.receive().is_null());
  EXPECT_EQ(client.close_code(), websocket::close_code::bad_payload);
}

TEST(WebSocketConnection, AnswersAPing) {
  LiveServer live;
  WsClient client(live);
  std::string payload;
  client.socket().control_callback([&](websocket::frame_type kind, beast::string_view text) {
    if (kind == websocket::frame_type::pong) payload = std::string(text);
  });
  client.socket().ping("beat");
  client.send(generate("a", {{"max_tokens", 1}}));
  client.receive("finished");
  EXPECT_EQ(payload, "beat");
}

TEST(WebSocketConnection, ClosesAConnectionWithoutASignOfLife) {
  ServerOptions options;
  options.idle_timeout = std::chrono::milliseconds(100);
  LiveServer live(options);
  HttpClient silent(live);  // never answers a ping
  silent.send_raw(
      "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_TRUE(silent.closed());
}

TEST(WebSocketConnection, WantsAKeyWhereKeysAreSet) {
  ServerOptions options;
  options.api_keys = {"alpha"};
  LiveServer live(options);
  EXPECT_EQ(WsClient(live).error(), websocket::error::upgrade_declined);
  WsClient allowed(live, "Bearer alpha");
  ASSERT_FALSE(allowed.error());
  allowed.send(generate("a", {{"max_tokens", 1}}));
  EXPECT_EQ(allowed.receive("finished")["id"], "a");
  EXPECT_NE(live.runtime.requests()[0].tenant, "");
}

Json talk(const std::string& id, const std::string& text) {
  return {{"type", "generate"},
          {"id", id},
          {"session", "chat"},
          {"messages", {{{"role", "user"}, {"content", text}}}},
          {"params", {{"max_tokens", 2}}}};
}

std::string contents(const Request& request) {
  std::string text;
  for (const ChatMessage& message : std::get<std::vector<ChatMessage>>(request.prompt)) text += message.content + "|";
  return text;
}

TEST(WebSocketConnection, GoesOnWithASessionOnAnyConnectionOfItsTenant) {
  ServerOptions options;
  options.api_keys = {"alpha", "beta"};
  LiveServer live(options);
  {
    WsClient first(live, "Bearer alpha");
    first.send(talk("a", "one"));
    EXPECT_EQ(first.receive("accepted")["session_messages"], 1);
    EXPECT_EQ(first.receive("finished")["id"], "a");
  }
  WsClient again(live, "Bearer alpha");
  again.send(talk("a", "two"));
  EXPECT_EQ(again.receive("accepted")["session_messages"], 3);
  EXPECT_EQ(again.receive("finished")["id"], "a");
  WsClient other(live, "Bearer beta");
  other.send(talk("a", "three"));
  EXPECT_EQ(other.receive("accepted")["session_messages"], 1);
  EXPECT_EQ(other.receive("finished")["id"], "a");
  const auto requests = live.runtime.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(contents(requests[1]), "one| w0 w1|two|");
  EXPECT_EQ(requests[1].session, "chat");
  EXPECT_EQ(contents(requests[2]), "three|");
}

TEST(WebSocketConnection, TakesOneTurnOfASessionAtATimeAndDropsACancelledOne) {
  LiveServer live;
  live.runtime.hold();
  WsClient client(live);
  client.send(talk("a", "one"));
  EXPECT_EQ(client.receive()["type"], "accepted");
  client.send(talk("b", "two"));
  const Json busy = client.receive("error");
  EXPECT_EQ(busy["error"]["code"], "session_busy");
  EXPECT_EQ(busy["error"]["param"], "session");
  client.send({{"type", "cancel"}, {"id", "a"}});
  EXPECT_EQ(client.receive("cancelled")["id"], "a");
  live.runtime.release();
  client.send(talk("c", "three"));
  EXPECT_EQ(client.receive("accepted")["session_messages"], 1);
  EXPECT_EQ(client.receive("finished")["id"], "c");
  client.send({{"type", "generate"}, {"id", "d"}, {"session", "chat"}, {"prompt", "x"}});
  EXPECT_EQ(client.receive("error")["error"]["param"], "session");
}

TEST(WebSocketConnection, EndsASessionWhenToldTo) {
  ServerOptions options;
  options.api_keys = {"alpha"};
  options.strict_fields = true;
  LiveServer live(options);
  live.runtime.hold();
  WsClient client(live, "Bearer alpha");
  client.send(talk("a", "one"));
  EXPECT_EQ(client.receive()["type"], "accepted");
  client.send({{"type", "end_session"}, {"id", "e"}, {"session", "chat"}});
  EXPECT_EQ(client.receive("error")["error"]["code"], "session_busy");
  EXPECT_TRUE(live.runtime.operator_asked().empty());
  live.runtime.release();
  EXPECT_EQ(client.receive("finished")["id"], "a");
  client.send({{"type", "end_session"}, {"id", "e"}, {"session", "chat"}});
  EXPECT_EQ(client.receive(), Json({{"type", "session_ended"}, {"id", "e"}, {"session", "chat"}}));
  const std::string tenant = live.runtime.requests()[0].tenant;
  EXPECT_EQ(live.runtime.operator_asked(), std::vector{"end " + tenant + "/chat"});
  client.send(talk("b", "two"));
  EXPECT_EQ(client.receive("accepted")["session_messages"], 1) << "it begins anew";
  EXPECT_EQ(client.receive("finished")["id"], "b");
  client.send({{"type", "end_session"}, {"id", "e"}});
  EXPECT_EQ(client.receive("error")["error"]["param"], "session");
  client.send({{"type", "end_session"}, {"id", "e"}, {"session", "chat"}, {"force", true}});
  EXPECT_EQ(client.receive("error")["error"]["code"], "unknown_parameter");
}

}  // namespace
}  // namespace headwater::test
