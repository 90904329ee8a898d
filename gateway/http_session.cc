#include "gateway/http_session.h"

#include "gateway/http_admin.h"
#include "gateway/http_endpoints.h"
#include "gateway/websocket_session.h"

namespace headwater::gateway {
namespace {

constexpr std::uint32_t kMaxHeaderBytes = 32 << 10;
/// What is read and thrown away after a refusal, so that the peer gets to read it.
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr auto kLinger = std::chrono::seconds(1);

bool is_json(const HttpRequest& request) {
  const auto type = request[http::field::content_type];
  const auto media = type.substr(0, type.find(';'));
  const std::size_t end = media.find_last_not_of(" \t");
  return type.empty() ||
         beast::iequals(media.substr(0, end == beast::string_view::npos ? 0 : end + 1), "application/json");
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// Why a caller may not have what is at the route.
std::optional<Error> check_access(const Hub& hub, const Route& route, const HttpRequest& request) {
  if (route.endpoint == Endpoint::unknown || (route.access == Access::admin && !hub.admin.required())) {
    return Error{ErrorCode::not_found, "there is no " + std::string(view(request.target()).substr(0, 128)) + " here",
                 ""};
  }
  const std::string_view authorization = view(request[http::field::authorization]);
  if (route.access == Access::admin && !hub.admin.tenant(authorization)) {
    return Error{ErrorCode::invalid_admin_key, "send the admin key as \"Authorization: Bearer KEY\"", ""};
  }
  if (route.access == Access::client && !hub.keys.tenant(authorization)) {
    return Error{ErrorCode::invalid_api_key, "send a valid key as \"Authorization: Bearer KEY\"", ""};
  }
  return std::nullopt;
}

bool takes_method(const Route& route, http::verb method) {
  switch (route.method) {
    case Method::post:
      return method == http::verb::post;
    case Method::delete_:
      return method == http::verb::delete_;
    case Method::get:
      break;
  }
  return method == http::verb::get || (method == http::verb::head && route.endpoint != Endpoint::stream);
}

/// What is wrong with the head of a request, before its body is read.
std::optional<Error> check_head(const Hub& hub, const Route& route, const HttpRequest& request) {
  if (auto refused = check_access(hub, route, request)) return refused;
  if (!takes_method(route, request.method())) {
    return Error{ErrorCode::method_not_allowed, "use " + std::string(allowed_methods(route)) + " here", ""};
  }
  if (route.takes_body() && !is_json(request)) {
    return Error{ErrorCode::unsupported_media_type, "the body must be JSON, with \"Content-Type: application/json\"",
                 ""};
  }
  return std::nullopt;
}

Error error_of(const IoError& error) {
  if (error == http::error::body_limit)
    return {ErrorCode::payload_too_large, "the body is larger than this server accepts", ""};
  if (error == http::error::header_limit) return {ErrorCode::header_too_large, "the header is larger than 32 KiB", ""};
  if (error == beast::error::timeout) return {ErrorCode::request_timeout, "the request did not arrive in time", ""};
  return {ErrorCode::bad_http, "this is not an HTTP/1.1 request: " + error.message(), ""};
}

}  // namespace

HttpSession::HttpSession(Hub& hub, net::ip::tcp::socket socket, SessionSlot slot)
    : hub_(hub),
      strand_(socket.get_executor()),
      stream_(std::move(socket)),
      slot_(std::move(slot)),
      watch_ended_(strand_) {
  IoError ignored;
  stream_.socket().set_option(net::ip::tcp::no_delay(true), ignored);
  hub_.metrics.connection_opened();
}

HttpSession::~HttpSession() {
  hub_.sessions.remove(this);
  hub_.metrics.connection_closed();
}

void HttpSession::start(std::shared_ptr<HttpSession> session) {
  session->hub_.sessions.add(session);
  net::co_spawn(
      session->strand_, [session] { return session->run(); }, log_failure);
}

void HttpSession::end(bool at_once) {
  net::post(strand_, [self = shared_from_this(), at_once] {
    self->ending_ = true;
    if (self->upgraded_ || (!at_once && !self->reading_)) return;
    self->stream_.close();
    if (at_once && self->generation_ != nullptr) self->generation_->abandon();
  });
}

Awaitable<void> HttpSession::run() {
  for (bool go_on = true; go_on && !ending_;) {
    go_on = co_await serve_one();
    end_record();
  }
  if (upgraded_) co_return;
  IoError ignored;
  stream_.socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
  stream_.close();
}

Awaitable<bool> HttpSession::serve_one() {
  Parser parser;
  parser.header_limit(kMaxHeaderBytes);
  parser.body_limit(hub_.options.max_body_bytes);
  if (!co_await read_header(parser)) co_return false;

  HttpRequest& request = parser.get();
  const Route route = find_route(view(request.target()));
  const auto tenant = hub_.keys.tenant(view(request[http::field::authorization]));
  begin_record(request, route);
  record_->client = client_name(tenant.value_or(""));
  const auto wrong = check_head(hub_, route, request);
  const bool whole = parser.is_done();
  if (wrong && !whole) co_return co_await refuse(*wrong, route);
  if (wrong) {
    HttpResponse response = error_reply(*wrong);
    record_->error = name_of(wrong->code);
    if (response.result_int() == 405) response.set(http::field::allow, std::string(allowed_methods(route)));
    co_return co_await reply(response, request);
  }
  if (!whole && !co_await read_body(parser)) co_return false;
  if (route.endpoint == Endpoint::stream && websocket::is_upgrade(request)) {
    upgraded_ = true;
    hub_.sessions.remove(this);
    record_->status = 101;
    WebSocketSession::start(
        std::make_shared<WebSocketSession>(hub_, std::move(stream_), std::move(slot_), *tenant, record_->id),
        parser.release());
    co_return false;
  }
  co_return co_await dispatch(route, tenant.value_or(""), request);
}

Awaitable<bool> HttpSession::read_header(Parser& parser) {
  IoError error;
  reading_ = true;
  if (buffer_.size() == 0) {
    stream_.expires_after(hub_.options.idle_timeout);
    const std::size_t n = co_await stream_.async_read_some(buffer_.prepare(4096), into(error));
    buffer_.commit(n);
  }
  reading_ = false;
  if (error || ending_) co_return false;
  stream_.expires_after(hub_.options.header_timeout);
  co_await http::async_read_header(stream_, buffer_, parser, into(error));
  if (!error) co_return true;
  if (error == http::error::end_of_stream || error == net::error::operation_aborted) co_return false;
  if (error.category() == net::error::get_system_category()) co_return false;
  const Error why = error_of(error);
  const Route unknown;
  co_return co_await refuse(why, unknown);
}

Awaitable<bool> HttpSession::read_body(Parser& parser) {
  IoError error;
  stream_.expires_after(hub_.options.body_timeout);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await net::async_write(stream_, net::buffer(kContinue), into(error));
  }
  if (!error) co_await http::async_read(stream_, buffer_, parser, into(error));
  if (!error) co_return true;
  const bool answerable = error == http::error::body_limit || error == beast::error::timeout ||
                          error == http::error::bad_chunk || error == http::error::bad_chunk_extension;
  if (!answerable || !stream_.socket().is_open()) co_return false;
  const Error why = error_of(error);
  const Route unknown;
  co_return co_await refuse(why, unknown);
}

Awaitable<bool> HttpSession::dispatch(const Route& route, const std::string& tenant, HttpRequest& request) {
  if (route.endpoint == Endpoint::chat || route.endpoint == Endpoint::completions) {
    co_return co_await generate(route.endpoint, tenant, request);
  }
  if (route.endpoint == Endpoint::stream) {
    const Error error{ErrorCode::websocket_expected, "/v1/stream speaks WebSocket; connect with ws://", ""};
    co_return co_await reply_error(error, request);
  }
  HttpResponse response;
  const bool admin = route.access == Access::admin;
  const auto work = [&] {
    response = admin ? answer_admin(hub_, route, request.body()) : answer_at_once(hub_, route, tenant, request.body());
  };
  if (admin || route.endpoint == Endpoint::metrics) {
    co_await run_in(hub_.scrapers, work);
  } else if (route.takes_body()) {
    co_await run_in(hub_.workers, work);
  } else {
    work();
  }
  co_return co_await reply(response, request);
}

Awaitable<bool> HttpSession::reply_error(const Error& error, const HttpRequest& request) {
  HttpResponse response = error_reply(error);
  if (record_) record_->error = name_of(error.code);
  co_return co_await reply(response, request);
}

Awaitable<bool> HttpSession::reply(HttpResponse& response, const HttpRequest& request) {
  IoError error;
  response.version(request.version());
  response.keep_alive(request.keep_alive() && !ending_ && hub_.accepting);
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();  // Content-Length stays
  answer_with(response);
  stream_.expires_after(hub_.options.write_timeout);
  co_await http::async_write(stream_, response, into(error));
  co_return !error && response.keep_alive();
}

Awaitable<bool> HttpSession::refuse(const Error& error, const Route& route) {
  IoError failed;
  HttpResponse response = error_reply(error);
  if (response.result_int() == 405) response.set(http::field::allow, std::string(allowed_methods(route)));
  response.keep_alive(false);
  response.prepare_payload();
  answer_with(response);
  record_->error = name_of(error.code);
  stream_.expires_after(hub_.options.write_timeout);
  co_await http::async_write(stream_, response, into(failed));
  if (!failed) co_await linger();
  co_return false;
}

/// Closing a socket with unread input resets it, and the peer may lose the answer; so some of it is read first.
Awaitable<void> HttpSession::linger() {
  IoError error;
  stream_.socket().shutdown(net::ip::tcp::socket::shutdown_send, error);
  stream_.expires_after(kLinger);
  for (std::size_t read = 0; !error && read < kLingerBytes;) {
    buffer_.clear();
    read += co_await stream_.async_read_some(buffer_.prepare(16384), into(error));
  }
}

void HttpSession::begin_record(const HttpRequest& request, const Route& route) {
  record_.emplace();
  record_->id = request_id(view(request[beast::string_view(kRequestIdHeader.data(), kRequestIdHeader.size())]));
  record_->method = std::string(view(http::to_string(request.method())));
  record_->route = path_of(route.endpoint);
  record_->probe = route.access == Access::everybody || route.endpoint == Endpoint::metrics;
  record_->begun = std::chrono::steady_clock::now();
}

void HttpSession::end_record() {
  if (!record_) return;
  hub_.log.ended(*record_);
  record_.reset();
}

}  // namespace headwater::gateway
