#pragma once
// HTTP clients for tests: synchronous, on loopback.

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "gateway/asio.h"
#include "gateway/json_text.h"

namespace headwater::test {

using gateway::Json;
namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

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
class HttpConnection {
 public:
  explicit HttpConnection(std::uint16_t port) : socket_(connect_to(context_, port)) {}

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
  /// A server that has seen enough may close while this is written: what counts is what it answers.
  void send_raw(std::string_view text) {
    beast::error_code closed;
    net::write(socket_, net::buffer(text), closed);
  }

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

}  // namespace headwater::test
