#pragma once
// Accepts connections and gives each a session on a strand of its own.

#include <memory>

#include "gateway/asio.h"
#include "gateway/hub.h"

namespace headwater::gateway {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(Hub& hub, net::io_context& context);

  /// Errors: "listen_failed" with the address and the reason.
  Result<void> listen();
  std::uint16_t port() const { return port_; }

  /// Accepts until close().
  void start();
  /// Any thread.
  void close();

 private:
  Awaitable<void> accept_all();
  void serve(net::ip::tcp::socket socket);

  Hub& hub_;
  net::io_context& context_;
  net::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  Sessions refusals_;  ///< connections being told that there is no place
};

}  // namespace headwater::gateway
