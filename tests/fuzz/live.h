#pragma once
// A server with a runtime that has no model, and sockets that throw bytes at it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/server.h"
#include "tests/gateway/fake_runtime.h"

/// Of the runtime that is not there. The file is included by one source of each program.
std::uint64_t headwater::Runtime::memory_limit() { return std::uint64_t{1} << 30U; }

namespace headwater::fuzz {

class Live {
 public:
  Live() {
    spdlog::set_level(spdlog::level::err);
    gateway::ServerOptions options;
    options.port = 0;
    options.max_body_bytes = 1 << 16;
    options.admin_keys = {"k"};
    auto started = gateway::Server::start(runtime_, options);
    if (!started) std::abort();
    server_ = std::move(*started);
  }

  /// Sends `opening` and waits for the head of its answer, where there is one; then sends `bytes`, says that no more
  /// come, and reads until the server has closed. Gives what was read.
  std::string talk(std::string_view bytes, std::string_view opening = "") {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{20, 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const linger at_once{1, 0};  // no port waits for what may come late
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
    std::string answer;
    if (!opening.empty()) {
      send_all(socket, opening);
      while (answer.find("\r\n\r\n") == std::string::npos && receive(socket, answer)) {
      }
    }
    send_all(socket, bytes);
    shutdown(socket, SHUT_WR);
    while (receive(socket, answer)) {
    }
    close(socket);
    return answer;
  }

 private:
  static void send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;  // the server has had enough
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// False: the server has closed.
  static bool receive(int socket, std::string& answer) {
    char buffer[4096];
    const ssize_t n = recv(socket, buffer, sizeof buffer, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return false;
    if (n < 0) {
      std::fprintf(stderr, "the server neither answers nor closes\n");
      std::abort();
    }
    answer.append(buffer, static_cast<std::size_t>(n));
    return true;
  }

  test::FakeRuntime runtime_;
  std::unique_ptr<gateway::Server> server_;
};

inline Live& live() {
  static Live* const one = new Live;  // its threads run until the process ends
  return *one;
}

}  // namespace headwater::fuzz
