#pragma once
// The gateway: HTTP and WebSocket on one port, in front of a Runtime.
//
// Threading: start(), stop_accepting(), stop() and port() may be called from any thread, stop() not from a
// handler of the server itself. Ownership: the Runtime must outlive the Server.
//
// A graceful end is: stop_accepting(), Runtime::drain(), stop().

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headwater/result.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

struct ServerOptions {
  std::string host = "127.0.0.1";                    ///< listened on: all addresses that the name has
  std::uint16_t port = 8080;                         ///< 0: any free one, see Server::port()
  std::uint32_t max_connections = 1024;              ///< a further one takes an idle one's place, or gets 503
  std::uint64_t max_body_bytes = 8 << 20;            ///< of a request body or WebSocket message
  std::vector<std::string> api_keys;                 ///< empty: no authentication
  std::vector<std::string> admin_keys;               ///< empty: no /admin
  std::vector<std::string> allow_hosts;              ///< names of the server beside those of this machine; "*": any
  std::vector<std::string> allow_origins;            ///< web pages that may use it, "https://app.example"; "*": any
  std::uint32_t max_sessions = 1024;                 ///< conversations whose messages are kept
  std::uint64_t max_session_bytes = 1 << 20;         ///< of one, all its messages
  std::chrono::milliseconds session_ttl{3'600'000};  ///< since its last turn, where a request does not say
  bool strict_fields = false;                        ///< fields that are not known are refused, not ignored
  std::uint64_t max_answer_bytes = 128 << 20;        ///< of one call in memory; one that may be longer is refused
  std::uint32_t threads = 1;                         ///< that serve sockets
  std::uint64_t max_buffered_bytes = 0;              ///< kept for all connections; 0: default_buffer_limit()
  std::uint64_t max_unsent_bytes = 4 << 20;          ///< per connection; see stall_timeout
  std::chrono::milliseconds header_timeout{10'000};  ///< from the first byte to the end of the header
  std::chrono::milliseconds body_timeout{60'000};    ///< for the rest of a request
  std::chrono::milliseconds idle_timeout{75'000};    ///< between requests; for a WebSocket, without any sign of life
  std::chrono::milliseconds write_timeout{30'000};   ///< for the peer to take some of what is being written
  std::chrono::milliseconds stall_timeout{5'000};    ///< the same, where more than max_unsent_bytes waits behind it
};

class Server {
 public:
  /// Listens and serves when it returns. Errors: "listen_failed" with the address and the reason,
  /// "invalid_options".
  static Result<std::unique_ptr<Server>> start(Runtime& runtime, const ServerOptions& options);
  /// Does stop().
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;

  /// Closes the listening socket. Connections are served on, and closed after their next answer.
  void stop_accepting();

  /// Gives answers under way a moment to be written, then closes every connection, which cancels
  /// what they have running. Returns when all threads have ended.
  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::gateway
