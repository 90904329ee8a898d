#include "gateway/listener.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <set>

#include "gateway/api_error.h"
#include "gateway/http_connection.h"
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
Awaitable<void> turn_away(beast::tcp_stream stream, [[maybe_unused]] ConnectionSlot slot) {
  IoError error;
  HttpResponse response =
      error_reply({ErrorCode::too_many_connections,
                   "the server has as many connections as it takes, and all are busy; try again later", ""});
  response.set(http::field::server, "headwater");
  response.set(http::field::date, http_date(std::chrono::system_clock::now()));
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
    : hub_(hub), context_(context), strand_(net::make_strand(context)), refusals_(kMaxRefusals) {}

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
  std::set<net::ip::tcp::endpoint> endpoints;
  for (const auto& entry : found) endpoints.insert(entry.endpoint());
  IoError lacking;
  for (const auto& endpoint : endpoints) {
    error = listen_on(endpoint, endpoints.size() > 1);
    if (error == net::error::address_family_not_supported || error == boost::system::errc::address_not_available) {
      lacking = error;
    } else if (error) {
      return failed(error.message());
    }
  }
  if (acceptors_.empty()) return failed(lacking.message());
  const auto is_local = [](const auto& acceptor) { return acceptor->local_endpoint().address().is_loopback(); };
  if (std::all_of(acceptors_.begin(), acceptors_.end(), is_local)) hub_.origins.only_known_hosts();
  return {};
}

IoError Listener::listen_on(net::ip::tcp::endpoint endpoint, bool one_of_many) {
  IoError error;
  if (port_ != 0) endpoint.port(port_);  // where any would do, all get the same
  auto acceptor = std::make_unique<Acceptor>(strand_);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(net::socket_base::reuse_address(true), error);
  if (!error && one_of_many && endpoint.address().is_v6()) acceptor->set_option(net::ip::v6_only(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(net::socket_base::max_listen_connections, error);
  if (error) return error;
  port_ = acceptor->local_endpoint().port();
  acceptors_.push_back(std::move(acceptor));
  return error;
}

void Listener::start() {
  for (const auto& acceptor : acceptors_) {
    net::co_spawn(
        strand_, [self = shared_from_this(), &acceptor] { return self->accept_all(*acceptor); }, log_failure);
  }
}

void Listener::close() {
  net::post(strand_, [self = shared_from_this()] {
    IoError ignored;
    for (const auto& acceptor : self->acceptors_) acceptor->close(ignored);
  });
}

Awaitable<void> Listener::accept_all(Acceptor& acceptor) {
  net::steady_timer pause(strand_);
  while (acceptor.is_open()) {
    IoError error;
    net::ip::tcp::socket socket(net::make_strand(context_));
    co_await acceptor.async_accept(socket, into(error));
    if (!error) {
      try {
        serve(std::move(socket));
      } catch (...) {
        log_failure(std::current_exception());
      }
    } else if (error != net::error::operation_aborted && error != net::error::bad_descriptor) {
      spdlog::warn("cannot accept a connection: {}", error.message());
      pause.expires_after(kPause);
      co_await pause.async_wait(into(error));
    }
  }
}

void Listener::serve(net::ip::tcp::socket socket) {
  if (hub_.connections.reserve()) {
    HttpConnection::start(std::make_shared<HttpConnection>(hub_, std::move(socket), ConnectionSlot(hub_.connections)));
    return;
  }
  if (!refusals_.reserve()) return;
  const auto strand = socket.get_executor();
  net::co_spawn(
      strand,
      [self = shared_from_this(), socket = std::move(socket), slot = ConnectionSlot(refusals_)]() mutable {
        return turn_away(beast::tcp_stream(std::move(socket)), std::move(slot));
      },
      log_failure);
}

}  // namespace headwater::gateway
