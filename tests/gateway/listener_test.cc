#include "gateway/listener.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

TEST(Listener, ListensOnAllAddressesOfAName) {
  net::io_context context;
  beast::error_code error;
  net::ip::tcp::acceptor probe(context);
  probe.open(net::ip::tcp::v6(), error);
  if (!error) probe.bind({net::ip::address_v6::loopback(), 0}, error);
  gateway::ServerOptions options;
  options.host = "localhost";
  LiveServer live(options);
  ASSERT_TRUE(live.server);
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
  bool named = false;
  for (const auto& entry : net::ip::tcp::resolver(context).resolve("localhost", "1")) {
    named = named || entry.endpoint().address().is_v6();
  }
  if (error || !named) GTEST_SKIP() << "this machine's localhost has no IPv6 address";
  net::ip::tcp::socket socket(context);
  socket.connect({net::ip::address_v6::loopback(), live.server->port()}, error);
  EXPECT_FALSE(error) << error.message();
}

/// Raises the limit of file descriptors as far as this process may. False: there are fewer.
bool may_open(rlim_t files) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(files, limit.rlim_max));
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= files;
}

bool is_closed(net::ip::tcp::socket& socket) {
  char scrap = 0;
  return recv(socket.native_handle(), &scrap, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

TEST(Listener, ServesANewcomerAmongAsManyIdleConnectionsAsItTakes) {
  constexpr std::size_t kIdle = 1024, kNewcomers = 20;
  if (!may_open(2 * (kIdle + kNewcomers) + 200)) GTEST_SKIP() << "this process may not open enough files";
  gateway::ServerOptions options;
  options.max_connections = kIdle;
  LiveServer live(options);
  net::io_context context;
  std::vector<net::ip::tcp::socket> idle;
  for (std::size_t i = 0; i < kIdle; ++i) idle.push_back(connect_to(context, live.server->port()));
  // Whoever has an answer is known to the server, and the least idle.
  net::write(idle.back(), net::buffer(std::string_view("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")));
  char scrap = 0;
  ASSERT_EQ(net::read(idle.back(), net::buffer(&scrap, 1)), 1U);
  std::vector<std::unique_ptr<HttpClient>> newcomers;
  for (std::size_t i = 0; i < kNewcomers; ++i) {
    newcomers.push_back(std::make_unique<HttpClient>(live));
    EXPECT_EQ(newcomers.back()->post("/v1/completions", {{"prompt", "x"}}).status, 200U) << i;
  }
  for (const auto& client : newcomers) EXPECT_EQ(client->get("/health").status, 200U);
  const auto gone = static_cast<std::size_t>(std::count_if(idle.begin(), idle.end(), is_closed));
  EXPECT_EQ(gone, kNewcomers) << "one place for each";
  EXPECT_FALSE(is_closed(idle.back()));
}

}  // namespace
}  // namespace headwater::test
