#include "gateway/listener.h"

#include <spdlog/spdlog.h>

#include "gateway/api_error.h"
#include "gateway/http_session.h"
#include "gateway/request_id.h"

namespace headwater::gateway {
namespace {

/// Connections over the limit that are told so at the same time; others are just closed.
constexpr std::size_t kMaxRefusals = 32;
constexpr auto kRefusalPatience = std::chrono::seconds(1);
/// After a failed accept, such as one for want of file descriptors.
constexpr auto kPause = std::chrono::milliseconds(100);

/// Says 503 and closes, whatever was asked. Input is read until the peer has closed, so that it gets to read the
/// answer.
Awaitable<void> turn_away(beast::tcp_stream stream, [[maybe_unused]] SessionSlot slot) {
  IoError error;
  HttpResponse response =
      error_reply({ErrorCode::too_many_connections, "the server has as many connections as it takes", ""});
  response.set(std::string(kRequestIdHeader), random_id("req-"));
  response.keep_alive(false);
  response.prepare_payload();
  stream.expires_after(kRefusalPatience);
  co_await http::async_write(stream, response, into(error));
  IoError ignored;
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
  char scrap[4096];
  while (!error) co_await stream.async_read_some(net::buffer(scrap), into(error));
}

}  // namespace

Listener::Listener(Hub& hub, net::io_context& context)
    : hub_(hub), context_(context), acceptor_(net::make_strand(context)), refusals_(kMaxRefusals) {}

Result<void> Listener::listen() {
  const auto failed = [&](const std::string& reason) {
    return Error{ErrorCode::listen_failed,
                 "cannot listen on " + hub_.options.host + ":" + std::to_string(hub_.options.port) + ": " + reason, ""};
  };
  IoError error;
  net::ip::tcp::resolver resolver(context_);
  const auto found =
      resolver.resolve(hub_.options.host, std::to_string(hub_.options.port), net::ip::tcp::resolver::passive, error);
  if (error) return failed(error.message());
  const net::ip::tcp::endpoint endpoint = *found.begin();
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(net::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
  if (error) return failed(error.message());
  port_ = acceptor_.local_endpoint().port();
  return {};
}

void Listener::start() {
  net::co_spawn(
      acceptor_.get_executor(), [self = shared_from_this()] { return self->accept_all(); }, log_failure);
}

void Listener::close() {
  net::post(acceptor_.get_executor(), [self = shared_from_this()] {
    IoError ignored;
    self->acceptor_.close(ignored);
  });
}

Awaitable<void> Listener::accept_all() {
  net::steady_timer pause(acceptor_.get_executor());
  while (acceptor_.is_open()) {
    IoError error;
    net::ip::tcp::socket socket(net::make_strand(context_));
    co_await acceptor_.async_accept(socket, into(error));
    if (!error) {
      serve(std::move(socket));
    } else if (error != net::error::operation_aborted && error != net::error::bad_descriptor) {
      spdlog::warn("cannot accept a connection: {}", error.message());
      pause.expires_after(kPause);
      co_await pause.async_wait(into(error));
    }
  }
}

void Listener::serve(net::ip::tcp::socket socket) {
  if (hub_.sessions.reserve()) {
    HttpSession::start(std::make_shared<HttpSession>(hub_, std::move(socket), SessionSlot(hub_.sessions)));
    return;
  }
  if (!refusals_.reserve()) return;
  const auto strand = socket.get_executor();
  net::co_spawn(
      strand,
      [self = shared_from_this(), socket = std::move(socket), slot = SessionSlot(refusals_)]() mutable {
        return turn_away(beast::tcp_stream(std::move(socket)), std::move(slot));
      },
      log_failure);
}

}  // namespace headwater::gateway
