#pragma once
// A server on loopback in front of a FakeRuntime, and clients that talk to it.

#include <gtest/gtest.h>

#include "gateway/server.h"
#include "tests/gateway/fake_runtime.h"
#include "tests/support/http_client.h"

namespace headwater::test {

namespace websocket = boost::beast::websocket;

/// Starts in the constructor; a failure to start fails the test.
class LiveServer {
 public:
  explicit LiveServer(gateway::ServerOptions options = {}) {
    options.port = 0;
    auto started = gateway::Server::start(runtime, options);
    EXPECT_TRUE(started.ok());
    if (started) server = std::move(*started);
  }

  FakeRuntime runtime;
  std::unique_ptr<gateway::Server> server;
};

class HttpClient : public HttpConnection {
 public:
  explicit HttpClient(const LiveServer& server) : HttpConnection(server.server->port()) {}
};

/// One WebSocket, used synchronously.
class WsClient {
 public:
  explicit WsClient(const LiveServer& server, const std::string& authorization = "")
      : socket_(connect_to(context_, server.server->port())) {
    socket_.set_option(websocket::stream_base::decorator([=](websocket::request_type& request) {
      if (!authorization.empty()) request.set(http::field::authorization, authorization);
    }));
    socket_.read_message_max(0);
    socket_.handshake("localhost", "/v1/stream", error_);
  }

  websocket::stream<net::ip::tcp::socket>& socket() { return socket_; }

  void send(const Json& frame) { send_text(frame.dump()); }
  void send_text(const std::string& text) {
    socket_.text(true);
    socket_.write(net::buffer(text));
  }
  void send_binary(const std::string& bytes) {
    socket_.binary(true);
    socket_.write(net::buffer(bytes));
  }

  /// The next frame; null where the connection has ended, see close_code().
  Json receive() {
    beast::flat_buffer buffer;
    socket_.read(buffer, error_);
    if (error_) return nullptr;
    return Json::parse(beast::buffers_to_string(buffer.data()));
  }
  /// Reads on until a frame of this type.
  Json receive(const std::string& type) {
    for (;;) {
      Json frame = receive();
      if (frame.is_null() || frame["type"] == type) return frame;
    }
  }
  unsigned close_code() const { return socket_.reason().code; }
  const beast::error_code& error() const { return error_; }

 private:
  net::io_context context_;
  websocket::stream<net::ip::tcp::socket> socket_;
  beast::error_code error_;
};

}  // namespace headwater::test
