#pragma once
// Accepts connections and serves each on a strand of its own.

#include <memory>
#include <vector>

#include "gateway/asio.h"
#include "gateway/hub.h"

namespace headwater::gateway {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(Hub& hub, net::io_context& context);

  /// On all addresses that the host's name has; one that this machine lacks is left out as long as there is another.
  /// Errors: "listen_failed" with the address and the reason.
  Result<void> listen();
  std::uint16_t port() const { return port_; }

  /// Accepts until close().
  void start();
  /// Any thread.
  void close();

 private:
  using Acceptor = net::ip::tcp::acceptor;

  IoError listen_on(net::ip::tcp::endpoint endpoint, bool one_of_many);
  Awaitable<void> accept_all(Acceptor& acceptor);
  void serve(net::ip::tcp::socket socket);

  Hub& hub_;
  net::io_context& context_;
  const Executor strand_;  ///< of all acceptors
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::uint16_t port_ = 0;
  Connections refusals_;  ///< connections being told that there is no place
};

}  // namespace headwater::gateway
