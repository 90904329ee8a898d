// Answers that take a while: clients that go, that half close, that read slowly.

#include <gtest/gtest.h>

#include "gateway/http_connection.h"
#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using gateway::ServerOptions;
using std::chrono::milliseconds;

const Json kBody = {{"prompt", "x"}, {"max_tokens", 4}};

Json streamed(Json body) {
  body["stream"] = true;
  return body;
}

/// The next answer that is no interim one.
Answer receive_final(HttpClient& client) {
  for (;;) {
    Answer answer = client.receive();
    if (answer.status != 100) return answer;
  }
}

TEST(HttpGeneration, AnswersAClientThatHasClosedItsSide) {
  LiveServer live;
  live.runtime.hold();
  HttpClient whole(live), stream(live);
  whole.send(http::verb::post, "/v1/completions", kBody.dump());
  stream.send(http::verb::post, "/v1/completions", streamed(kBody).dump());
  whole.socket().shutdown(net::ip::tcp::socket::shutdown_send);
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_send);
  ASSERT_TRUE(live.runtime.wait_accepted(2));
  live.runtime.release();
  EXPECT_EQ(receive_final(whole).json()["choices"][0]["text"], " w0 w1 w2 w3");
  EXPECT_EQ(receive_final(stream).events().back(), "[DONE]");
  EXPECT_TRUE(whole.closed());
}

TEST(HttpGeneration, AnswersAllThatWasSentBeforeTheClientClosedItsSide) {
  LiveServer live;
  HttpClient client(live);
  for (int i = 0; i < 3; ++i) client.send(http::verb::post, "/v1/completions", kBody.dump());
  client.socket().shutdown(net::ip::tcp::socket::shutdown_send);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive_final(client).status, 200U);
  EXPECT_TRUE(client.closed());
}

TEST(HttpGeneration, CancelsForAClientThatGoesAfterSendingAhead) {
  LiveServer live;
  live.runtime.hold();
  {
    HttpClient client(live);
    client.send(http::verb::post, "/v1/completions", kBody.dump());
    ASSERT_TRUE(live.runtime.wait_accepted(1));
    std::string ahead;
    while (ahead.size() < (64 << 10)) ahead += "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send_raw(ahead);
  }
  EXPECT_TRUE(live.runtime.wait_cancelled(1));
}

TEST(HttpGeneration, SendsALargeEventToAClientThatReads) {
  ServerOptions options;
  options.max_unsent_bytes = 1000;
  options.stall_timeout = milliseconds(30'000);  // making the event takes long under a sanitizer
  LiveServer live(options);
  live.runtime.pad_words(2'000'000);
  HttpClient client(live);
  const Answer answer = client.post("/v1/completions", streamed({{"prompt", "x"}, {"max_tokens", 8}}));
  ASSERT_FALSE(answer.events().empty());
  EXPECT_EQ(answer.events().back(), "[DONE]");
  EXPECT_GT(answer.body.size(), 16'000'000U);
}

TEST(HttpGeneration, WaitsForAReaderAsLongAsItTakesSomething) {
  ServerOptions options;
  options.write_timeout = options.stall_timeout = milliseconds(1500);
  options.max_unsent_bytes = 1000;
  LiveServer live(options);
  live.runtime.pad_words(4'000'000);
  for (const bool stream : {false, true}) {
    HttpClient client(live);
    client.socket().set_option(net::socket_base::receive_buffer_size(1 << 20));
    client.send(http::verb::post, "/v1/completions",
                Json{{"prompt", "x"}, {"max_tokens", 4}, {"stream", stream}}.dump());
    // 16 MB in 40 steps of 100 ms: longer than the timeout in all, and never so long in one.
    std::string text;
    std::vector<char> piece(400'000);
    beast::error_code error;
    while (!error && text.size() < 16'000'000) {
      std::this_thread::sleep_for(milliseconds(100));
      text.append(piece.data(),
                  net::read(client.socket(), net::buffer(piece), net::transfer_exactly(piece.size()), error));
    }
    EXPECT_FALSE(error) << error.message() << " after " << text.size();
  }
}

TEST(HttpGeneration, EndsTheReaderWithMostUnsentWhereBuffersAreFull) {
  ServerOptions options;
  options.max_buffered_bytes = 12'000'000;
  LiveServer live(options);
  live.runtime.hold();
  HttpClient idle(live);
  idle.send(http::verb::post, "/v1/completions", streamed({{"prompt", "x"}, {"max_tokens", 100'000}}).dump());
  ASSERT_TRUE(live.runtime.wait_accepted(1));
  live.runtime.pad_words(1'000'000);
  live.runtime.let_through(30);  // more than the kernel keeps, and than the budget
  EXPECT_TRUE(live.runtime.wait_cancelled(1));
  live.runtime.pad_words(0);
  live.runtime.release();
  EXPECT_EQ(HttpClient(live).post("/v1/completions", kBody).status, 200U);
}

}  // namespace
}  // namespace headwater::test
