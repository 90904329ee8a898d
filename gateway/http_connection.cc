#include "gateway/http_connection.h"

#include "gateway/api_error.h"
#include "gateway/deadline.h"
#include "gateway/http_admin.h"
#include "gateway/http_endpoints.h"
#include "gateway/request_head.h"
#include "gateway/websocket_connection.h"

namespace headwater::gateway {
namespace {

/// Of a request's head; of the trailers and of all chunk extensions as well.
constexpr std::uint32_t kMaxHeaderBytes = 32 << 10;
/// Empty lines that are skipped before a request. Source: RFC 9112, section 2.2.
constexpr std::size_t kMaxEmptyBytes = 64;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// Why a caller may not have what is at the route.
std::optional<Error> check_access(const Hub& hub, const Route& route, const HttpRequest& request) {
  if (route.endpoint == Endpoint::unknown || (route.access == Access::admin && !hub.admin.required())) {
    return Error{ErrorCode::not_found,
                 "there is no " + std::string(split_target(view(request.target())).path.substr(0, 128)) + " here", ""};
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
  if (route.takes_body() && has_body(request)) return check_body_type(request);
  if (route.endpoint == Endpoint::stream && websocket::is_upgrade(request)) {
    if (has_body(request)) return Error{ErrorCode::bad_http, "a request that opens a WebSocket has no body", ""};
    return check_upgrade(request);
  }
  return std::nullopt;
}

Error read_error(const IoError& error) {
  if (error == http::error::body_limit)
    return {ErrorCode::payload_too_large, "the body is larger than this server accepts", ""};
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {ErrorCode::header_too_large, "the header is larger than 32 KiB, or the trailers or chunk extensions are",
            ""};
  }
  if (error == beast::error::timeout) return {ErrorCode::request_timeout, "the request did not arrive in time", ""};
  return {ErrorCode::bad_http, "this is not an HTTP/1.1 request: " + error.message(), ""};
}

/// Whether there is somebody to tell that reading has failed.
bool answerable(const IoError& error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message) return false;
  return error == beast::error::timeout || error.category() == make_error_code(http::error::bad_chunk).category();
}

/// Bytes of empty lines at the beginning.
std::size_t empty_bytes(std::string_view text) {
  std::size_t n = 0;
  while (text.substr(n, 2) == "\r\n") n += 2;
  return n;
}

}  // namespace

HttpConnection::HttpConnection(Hub& hub, net::ip::tcp::socket socket, ConnectionSlot slot)
    : hub_(hub),
      strand_(socket.get_executor()),
      stream_(std::move(socket)),
      slot_(std::move(slot)),
      account_(hub.budget, [this] { shed(); }),
      watch_ended_(strand_),
      watch_pause_(strand_),
      buffer_(kMaxHeaderBytes) {
  IoError ignored;
  stream_.socket().set_option(net::ip::tcp::no_delay(true), ignored);
  hub_.metrics.connection_opened();
}

HttpConnection::~HttpConnection() {
  hub_.connections.remove(this);
  hub_.metrics.connection_closed();
}

void HttpConnection::start(std::shared_ptr<HttpConnection> connection) {
  connection->hub_.connections.add(connection);
  net::co_spawn(
      connection->strand_, [connection] { return connection->run(); }, log_failure);
}

void HttpConnection::end(bool at_once) {
  net::post(strand_, [self = shared_from_this(), at_once] {
    self->ending_ = true;
    if (self->upgraded_ || (!at_once && !self->reading_)) return;
    self->stream_.close();
    if (at_once && self->generation_ != nullptr) self->generation_->abandon();
  });
}

void HttpConnection::make_room() {
  net::post(strand_, [self = shared_from_this()] {
    if (self->idle_since() == 0) return self->stay();
    self->ending_ = true;
    self->stream_.close();
  });
}

void HttpConnection::shed() {
  net::post(strand_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->upgraded_) return;
    self->ending_ = true;
    self->stream_.close();
    if (self->generation_ != nullptr) self->generation_->abandon();
  });
}

Awaitable<void> HttpConnection::run() {
  for (bool go_on = true; go_on && !ending_;) {
    go_on = co_await serve_guarded();
    end_record();
  }
  if (upgraded_) co_return;
  IoError ignored;
  stream_.socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
  stream_.close();
}

Awaitable<bool> HttpConnection::serve_guarded() {
  std::exception_ptr failure;
  try {
    co_return co_await serve_one();
  } catch (...) {
    failure = std::current_exception();
  }
  log_failure(failure);
  if (begun_ || upgraded_) co_return false;
  const Error error = error_of(failure);
  const Route unknown;
  co_return co_await refuse(error, unknown);
}

Awaitable<bool> HttpConnection::serve_one() {
  Parser parser;
  parser.header_limit(kMaxHeaderBytes);
  parser.body_limit(hub_.options.max_body_bytes);
  begun_ = unread_ = false;
  origin_.clear();
  const auto kept = account_.keep_input(0);
  set_idle();
  // One co_await a statement: GCC 12 gets them wrong on either side of an operator.
  bool come = co_await await_request();
  if (come) come = co_await read_header(parser);
  set_busy();
  if (!come || ending_) co_return false;
  co_return co_await serve_request(parser);
}

Awaitable<bool> HttpConnection::serve_request(Parser& parser) {
  HttpRequest& request = parser.get();
  const Route route = find_route(split_target(view(request.target())).path);
  begin_record(request, route);
  if (const auto wrong = check_framing(request)) co_return co_await refuse(*wrong, route);
  if (const auto wrong = check_caller(hub_.origins, request)) co_return co_await refuse(*wrong, route);
  origin_ = view(request[http::field::origin]);
  if (!origin_.empty() && request.method() == http::verb::options) co_return co_await answer_preflight(route, request);
  const auto tenant = hub_.keys.tenant(view(request[http::field::authorization]));
  record_->client = client_name(tenant.value_or(""));
  const auto wrong = check_head(hub_, route, request);
  unread_ = has_body(request) && !route.takes_body();
  if (wrong && has_body(request)) co_return co_await refuse(*wrong, route);
  if (wrong) {
    HttpResponse response = error_reply(*wrong);
    record_->error = name_of(wrong->code);
    if (response.result_int() == 405) response.set(http::field::allow, std::string(allowed_methods(route)));
    co_return co_await reply(response, request);
  }
  if (route.takes_body() && !parser.is_done()) {
    const bool come = co_await read_body(parser);
    if (!come) co_return false;
  }
  if (route.endpoint == Endpoint::stream && websocket::is_upgrade(request)) {
    if (buffer_.size() > 0) {
      const Error early{ErrorCode::bad_http, "frames came before the answer to the upgrade; wait for it", ""};
      co_return co_await refuse(early, route);
    }
    upgraded_ = true;
    hub_.connections.remove(this);
    record_->status = 101;
    WebSocketConnection::start(
        std::make_shared<WebSocketConnection>(hub_, std::move(stream_), std::move(slot_), *tenant, record_->id),
        parser.release());
    co_return false;
  }
  co_return co_await dispatch(route, tenant.value_or(""), request);
}

Awaitable<bool> HttpConnection::await_request() {
  IoError error;
  std::size_t skipped = 0;
  reading_ = true;
  for (;;) {
    const std::string_view come(static_cast<const char*>(buffer_.cdata().data()), buffer_.size());
    const std::size_t empty = empty_bytes(come);
    const bool more_wanted = empty == come.size() || come.substr(empty) == "\r";
    buffer_.consume(empty);
    skipped += empty;
    if (!more_wanted || peer_done_ || skipped > kMaxEmptyBytes) break;
    stream_.expires_after(hub_.options.idle_timeout);
    const std::size_t n = co_await stream_.async_read_some(buffer_.prepare(4096), into(error));
    buffer_.commit(n);
    if (error) break;
  }
  reading_ = false;
  co_return !error && !ending_ && buffer_.size() > 0 && skipped <= kMaxEmptyBytes;
}

Awaitable<bool> HttpConnection::read_header(Parser& parser) {
  IoError error;
  stream_.expires_never();
  {
    const Deadline deadline(stream_, hub_.options.header_timeout);
    co_await http::async_read_header(stream_, buffer_, parser, into(error));
    if (error && deadline.expired()) error = beast::error::timeout;
  }
  if (!error) co_return true;
  if (!answerable(error)) co_return false;
  const Error why = read_error(error);
  const Route unknown;
  count_unread(parser.get(), why);
  co_return co_await refuse(why, unknown);
}

/// A request for tokens that there was no room for.
void HttpConnection::count_unread(const HttpRequest& head, const Error& why) {
  const Endpoint wanted = find_route(split_target(view(head.target())).path).endpoint;
  if (wanted != Endpoint::chat && wanted != Endpoint::completions) return;
  const bool no_room = why.code == ErrorCode::payload_too_large || why.code == ErrorCode::unavailable;
  if (no_room) hub_.metrics.count_refused(why.code);
}

Awaitable<bool> HttpConnection::read_body(Parser& parser) {
  IoError error;
  const Route unknown;
  // Beast makes room for all of an announced body at once.
  const std::uint64_t length = parser.content_length().value_or(0);
  auto kept = account_.keep_input(length);
  if (!kept) {
    count_unread(parser.get(), kept.error());
    co_return co_await refuse(kept.error(), unknown);
  }
  std::size_t extensions = 0;
  auto count = [&](std::uint64_t, beast::string_view text, IoError& failed) {
    extensions += text.size();
    if (extensions > kMaxHeaderBytes) failed = http::error::header_limit;
  };
  parser.on_chunk_header(count);
  parser.eager(true);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    const std::vector<net::const_buffer> go_on{net::buffer(kContinue)};
    if (!co_await write_all(go_on)) co_return false;
  }
  stream_.expires_never();
  {
    const Deadline deadline(stream_, hub_.options.body_timeout);
    while (!error && !parser.is_done()) {
      co_await http::async_read_some(stream_, buffer_, parser, into(error));
      kept = account_.keep_input(std::max<std::uint64_t>(length, parser.get().body().size()));
      if (!kept) break;
    }
    if (error && deadline.expired()) error = beast::error::timeout;
  }
  if (!error && kept) co_return true;
  if (kept && !answerable(error)) co_return false;
  const Error why = kept ? read_error(error) : kept.error();
  count_unread(parser.get(), why);
  co_return co_await refuse(why, unknown);
}

Awaitable<bool> HttpConnection::answer_preflight(const Route& route, const HttpRequest& request) {
  HttpResponse response;
  response.result(http::status::no_content);
  response.set(http::field::access_control_allow_methods, std::string(allowed_methods(route)));
  const auto wanted = request[http::field::access_control_request_headers];
  response.set(http::field::access_control_allow_headers, wanted.empty() ? "authorization, content-type" : wanted);
  response.set(http::field::access_control_max_age, "600");
  unread_ = has_body(request);
  co_return co_await reply(response, request);
}

void HttpConnection::drop_body(HttpRequest& request) {
  std::string().swap(request.body());
  const auto kept = account_.keep_input(0);
}

Awaitable<bool> HttpConnection::dispatch(const Route& route, const std::string& tenant, HttpRequest& request) {
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
  drop_body(request);
  co_return co_await reply(response, request);
}

void HttpConnection::begin_record(const HttpRequest& request, const Route& route) {
  record_.emplace();
  record_->id = request_id(view(request[beast::string_view(kRequestIdHeader.data(), kRequestIdHeader.size())]));
  record_->method = std::string(view(http::to_string(request.method())));
  record_->route = path_of(route.endpoint);
  record_->probe = route.access == Access::everybody || route.endpoint == Endpoint::metrics;
  record_->begun = std::chrono::steady_clock::now();
}

void HttpConnection::end_record() {
  if (!record_) return;
  hub_.log.ended(*record_);
  record_.reset();
}

}  // namespace headwater::gateway
