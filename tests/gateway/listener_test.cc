#include "gateway/listener.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace headwater::test
