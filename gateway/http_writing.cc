// HttpConnection's way of writing: whole answers, refusals, and pieces of streams.

#include <algorithm>

#include "gateway/http_connection.h"

namespace headwater::gateway {
namespace {

/// What is read and thrown away after a refusal, so that the peer gets to read it.
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr auto kLinger = std::chrono::seconds(1);

}  // namespace

void HttpConnection::sign(http::fields& head) const {
  head.set(http::field::server, "headwater");
  head.set(http::field::date, http_date(std::chrono::system_clock::now()));
  if (origin_.empty()) return;
  // Pages read no answer without these. Source: WHATWG Fetch, section 3.2.
  head.set(http::field::access_control_allow_origin, origin_);
  head.set(http::field::access_control_expose_headers, "*");
  head.set(http::field::vary, "Origin");
}

Awaitable<bool> HttpConnection::reply_error(const Error& error, const HttpRequest& request) {
  HttpResponse response = error_reply(error);
  if (record_) record_->error = name_of(error.code);
  co_return co_await reply(response, request);
}

Awaitable<bool> HttpConnection::reply(HttpResponse& response, const HttpRequest& request) {
  response.version(request.version());
  response.keep_alive(request.keep_alive() && !ending_ && !unread_ && hub_.accepting);
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();  // Content-Length stays
  const bool written = co_await write(response);
  if (written && unread_) co_await linger();
  co_return written&& response.keep_alive();
}

Awaitable<bool> HttpConnection::refuse(const Error& error, const Route& route) {
  HttpResponse response = error_reply(error);
  if (response.result_int() == 405) response.set(http::field::allow, std::string(allowed_methods(route)));
  co_return co_await refuse(response, error);
}

Awaitable<bool> HttpConnection::refuse(HttpResponse& response, const Error& error) {
  // In a function of its own: GCC 12 lays the temporaries of a coroutine over its parameters.
  const auto note = [this](ErrorCode code) {
    if (!record_) begin_record({}, {});
    record_->error = name_of(code);
  };
  note(error.code);
  response.keep_alive(false);
  response.prepare_payload();
  const bool written = co_await write(response);
  if (written) co_await linger();
  co_return false;
}

/// Closing a socket with unread input resets it, and the peer may lose the answer; so some of it is read first.
Awaitable<void> HttpConnection::linger() {
  IoError error;
  stream_.socket().shutdown(net::ip::tcp::socket::shutdown_send, error);
  stream_.expires_after(kLinger);
  for (std::size_t read = 0; !error && read < kLingerBytes;) {
    buffer_.clear();
    read += co_await stream_.async_read_some(buffer_.prepare(16384), into(error));
  }
}

Awaitable<bool> HttpConnection::write(HttpResponse& response) {
  IoError error;
  sign(response);
  begun_ = true;
  answer_with(response);
  http::response_serializer<http::string_body> serializer(response);
  std::size_t unsent = response.body().size();
  while (!error && !serializer.is_done()) {
    account_.keep_output(unsent);
    stream_.expires_after(hub_.options.write_timeout);
    const std::size_t n = co_await http::async_write_some(stream_, serializer, into(error));
    unsent -= std::min(unsent, n);
  }
  account_.keep_output(0);
  co_return !error;
}

Awaitable<bool> HttpConnection::write_all(const std::vector<net::const_buffer>& pieces) {
  IoError error;
  beast::buffers_suffix<std::vector<net::const_buffer>> rest(pieces);
  while (!error && net::buffer_size(rest) > 0) {
    stream_.expires_after(hub_.options.write_timeout);
    const std::size_t n = co_await stream_.async_write_some(rest, into(error));
    rest.consume(n);
    if (generation_ != nullptr) generation_->being_written(net::buffer_size(rest));
  }
  co_return !error;
}

Awaitable<bool> HttpConnection::write_chunk(const std::string& text, bool chunked) {
  std::vector<net::const_buffer> pieces{net::buffer(text)};
  char size[24];
  if (chunked) {
    const int n = std::snprintf(size, sizeof(size), "%zx\r\n", text.size());
    pieces = {net::buffer(size, static_cast<std::size_t>(n)), net::buffer(text), net::buffer("\r\n", 2)};
  }
  co_return co_await write_all(pieces);
}

}  // namespace headwater::gateway
