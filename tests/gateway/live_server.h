#pragma once
// A server on loopback in front of a FakeRuntime, and clients that talk to it.

#include <gtest/gtest.h>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "gateway/asio.h"
#include "gateway/json_text.h"
#include "gateway/server.h"
#include "tests/gateway/fake_runtime.h"

namespace headwater::test {

using gateway::Json;
namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
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

inline net::ip::tcp::socket connect_to(net::io_context& context, std::uint16_t port) {
  net::ip::tcp::socket socket(context);
  socket.connect({net::ip::make_address("127.0.0.1"), port});
  const timeval patience{20, 0};  // a test that waits for nothing fails instead of hanging
  setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  socket.set_option(net::ip::tcp::no_delay(true));
  return socket;
}

struct Answer {
  unsigned status = 0;
  std::string body;
  http::fields headers;

  Json json() const { return Json::parse(body, nullptr, false); }
  /// Of the error in the body.
  std::string code() const { return json().value("/error/code"_json_pointer, std::string()); }
  std::string param() const { return json().value("/error/param"_json_pointer, std::string()); }
  std::string message() const { return json().value("/error/message"_json_pointer, std::string()); }
  std::string header(const char* name) const { return std::string(headers[name]); }

  /// The data of server-sent events; the last is "[DONE]" of a whole stream.
  std::vector<std::string> events() const {
    std::vector<std::string> events;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t end = body.find("\n\n", at);
      if (end == std::string::npos) break;
      const std::string event = body.substr(at, end - at);
      if (event.starts_with("data: ")) events.push_back(event.substr(6));
      at = end + 2;
    }
    return events;
  }
};

/// One HTTP connection, used synchronously.
class HttpClient {
 public:
  explicit HttpClient(const LiveServer& server) : socket_(connect_to(context_, server.server->port())) {}

  net::ip::tcp::socket& socket() { return socket_; }

  void send(http::verb method, std::string_view target, std::string body = "",
            const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    http::request<http::string_body> request(method, {target.data(), target.size()}, 11);
    request.set(http::field::host, "localhost");
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    for (const auto& [name, value] : headers) request.set(name, value);
    request.body() = std::move(body);
    request.prepare_payload();
    http::write(socket_, request);
  }
  void send_raw(std::string_view text) { net::write(socket_, net::buffer(text)); }

  Answer receive(bool head = false) {
    http::response_parser<http::string_body> parser;
    parser.body_limit(64 << 20);
    parser.skip(head);
    beast::error_code error;
    http::read(socket_, buffer_, parser, error);
    if (error) return {};
    return {parser.get().result_int(), parser.get().body(), parser.get().base()};
  }

  Answer get(std::string_view target, const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    send(http::verb::get, target, "", headers);
    return receive();
  }
  Answer post(std::string_view target, const Json& body,
              const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    send(http::verb::post, target, body.dump(), headers);
    return receive();
  }
  Answer post_text(std::string_view target, std::string body,
                   const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    send(http::verb::post, target, std::move(body), headers);
    return receive();
  }

  /// Whether the server has closed the connection.
  bool closed() {
    char scrap[256];
    beast::error_code error;
    while (!error) socket_.read_some(net::buffer(scrap), error);
    return error == net::error::eof || error == net::error::connection_reset;
  }

 private:
  net::io_context context_;
  net::ip::tcp::socket socket_;
  beast::flat_buffer buffer_;
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
