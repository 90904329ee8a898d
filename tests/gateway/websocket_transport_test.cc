// How WebSockets live and end: large frames, slow and silent peers, close frames.

#include <gtest/gtest.h>

#include "gateway/websocket_connection.h"
#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using gateway::ServerOptions;
using std::chrono::milliseconds;

Json generate(const std::string& id, Json params = Json::object()) {
  return {{"type", "generate"}, {"id", id}, {"prompt", "hello"}, {"params", std::move(params)}};
}

/// A frame as a client sends it, with a mask of zeros.
std::string raw_frame(unsigned opcode, const std::string& payload) {
  std::string frame{static_cast<char>(0x80U | opcode), static_cast<char>(0x80U | payload.size())};
  return frame + std::string(4, '\0') + payload;
}

constexpr std::string_view kUpgrade =
    "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\n";
constexpr std::string_view kKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// All that comes until the connection ends.
std::string read_all(HttpClient& client) {
  std::string text;
  beast::error_code error;
  net::read(client.socket(), net::dynamic_buffer(text), error);
  return text;
}

TEST(WebSocketTransport, SendsALargeFrameToAClientThatReads) {
  ServerOptions options;
  options.max_unsent_bytes = 1000;
  options.stall_timeout = milliseconds(30'000);  // making the event takes long under a sanitizer
  LiveServer live(options);
  live.runtime.pad_words(5'000'000);
  WsClient client(live);
  client.send(generate("a", {{"max_tokens", 5}}));
  EXPECT_EQ(client.receive("finished")["id"], "a");
}

TEST(WebSocketTransport, CutsOffOneThatOnlyAnswersPings) {
  ServerOptions options;
  options.write_timeout = options.idle_timeout = milliseconds(300);
  LiveServer live(options);
  live.runtime.hold();
  HttpClient client(live);
  client.send_raw(std::string(kUpgrade) + std::string(kKey));
  ASSERT_EQ(client.receive().status, 101U);
  client.send_raw(raw_frame(1, generate("a", {{"max_tokens", 1000}}).dump()));
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  live.runtime.pad_words(1'000'000);
  live.runtime.let_through(20);  // more than the kernel takes
  std::atomic<bool> over{false};
  std::thread pongs([&] {
    beast::error_code error;
    while (!over && !error) {
      net::write(client.socket(), net::buffer(raw_frame(10, "")), error);
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
  EXPECT_TRUE(live.runtime.wait_cancelled(1));
  over = true;
  pongs.join();
}

TEST(WebSocketTransport, KeepsOneThatAnswersPings) {
  ServerOptions options;
  options.idle_timeout = milliseconds(400);
  LiveServer live(options);
  live.runtime.hold();
  WsClient client(live);
  client.send(generate("a", {{"max_tokens", 1}}));
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(1500));
    live.runtime.release();
  });
  EXPECT_EQ(client.receive("finished")["id"], "a");  // reading answers the pings
  later.join();
}

TEST(WebSocketTransport, TakesNoCloseCodeThatDoesNotExist) {
  LiveServer live;
  for (const unsigned code : {5000U, 9999U, 65535U}) {
    HttpClient client(live);
    client.send_raw(std::string(kUpgrade) + std::string(kKey));
    ASSERT_EQ(client.receive().status, 101U);
    client.send_raw(raw_frame(8, {static_cast<char>(code >> 8U), static_cast<char>(code & 255U)}));
    const std::string text = read_all(client);
    ASSERT_GE(text.size(), 4U);
    EXPECT_EQ(text.substr(text.size() - 4), std::string("\x88\x02\x03\xea", 4)) << code;
  }
}

TEST(WebSocketTransport, RefusesAMalformedKey) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw(std::string(kUpgrade) + "Sec-WebSocket-Key: short\r\n\r\n");
  EXPECT_EQ(client.receive().status, 400U);
}

TEST(WebSocketTransport, RefusesFramesThatComeBeforeTheUpgradeIsAnswered) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw(std::string(kUpgrade) + std::string(kKey) + raw_frame(9, "early"));
  EXPECT_EQ(client.receive().status, 400U);
}

TEST(WebSocketTransport, RefusesTheUpgradeToForeignPages) {
  LiveServer live;
  HttpClient client(live);
  client.send_raw(std::string(kUpgrade) + "Origin: https://evil.example\r\n" + std::string(kKey));
  EXPECT_EQ(client.receive().status, 403U);
}

TEST(WebSocketTransport, AnswersSomeBadFramesAndNotThousands) {
  LiveServer live;
  WsClient client(live);
  beast::error_code error;
  for (int i = 0; i < 2000 && !error; ++i) client.socket().write(net::buffer(std::string("{oops")), error);
  int answers = 0;
  while (!client.receive().is_null()) ++answers;
  EXPECT_LE(answers, 32);
  EXPECT_EQ(client.error(), websocket::error::closed);
  EXPECT_EQ(client.close_code(), websocket::close_code::policy_error);
}

TEST(WebSocketTransport, AnswersEveryCloseFrameWhateverIsBeingSent) {
  LiveServer live;
  live.runtime.pad_words(20'000);
  for (int i = 0; i < 100; ++i) {
    WsClient client(live);
    for (int k = 0; k < 3; ++k) client.send(generate("r" + std::to_string(k), {{"max_tokens", 100}}));
    for (int k = 0; k < i % 10; ++k) client.receive();
    beast::error_code error;
    client.socket().close(websocket::close_code::normal, error);  // reads up to the server's close frame
    EXPECT_FALSE(error) << i << ": " << error.message();
  }
  EXPECT_TRUE(live.runtime.wait_idle());
}

TEST(WebSocketTransport, SaysWhyItEndsToOneThatIsStillSending) {
  ServerOptions options;
  options.max_body_bytes = 10'000;
  LiveServer live(options);
  WsClient client(live);
  beast::error_code error;
  client.socket().text(true);
  client.socket().write(net::buffer(std::string(2'000'000, ' ')), error);
  EXPECT_TRUE(client.receive().is_null());
  EXPECT_EQ(client.error(), websocket::error::closed) << client.error().message();
  EXPECT_EQ(client.close_code(), websocket::close_code::too_big);
}

TEST(WebSocketTransport, RefusesAMessageForWhichThereIsNoRoom) {
  ServerOptions options;
  options.max_buffered_bytes = 100'000;
  LiveServer live(options);
  WsClient client(live);
  client.send_text(std::string(200'000, ' '));
  EXPECT_TRUE(client.receive().is_null());
  EXPECT_EQ(client.close_code(), websocket::close_code::try_again_later);
}

TEST(WebSocketTransport, EndsOnlyItselfByAnException) {
  LiveServer live;
  WsClient broken(live), other(live);
  live.runtime.throw_from_now_on([] { throw std::bad_alloc(); });
  broken.send(generate("a"));
  EXPECT_TRUE(broken.receive().is_null());
  EXPECT_EQ(broken.close_code(), websocket::close_code::internal_error);
  live.runtime.throw_from_now_on({});
  other.send(generate("b", {{"max_tokens", 1}}));
  EXPECT_EQ(other.receive("finished")["id"], "b");
}

}  // namespace
}  // namespace headwater::test
