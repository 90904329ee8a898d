// What HttpConnection keeps of a request that never ends.

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

/// Bytes of this process, and so of the server, in RAM.
std::size_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, pages = 0;
  statm >> all >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// Sends `begin`, then `piece` again and again: how many bytes the server takes before it closes, `most` at most.
std::size_t sent_until_closed(const LiveServer& live, std::string_view begin, std::string_view piece,
                              std::size_t most) {
  HttpClient client(live);
  client.send_raw(begin);
  std::string pieces;
  while (pieces.size() < 64 << 10U) pieces += piece;
  beast::error_code error;
  std::size_t sent = 0;
  while (!error && sent < most) sent += net::write(client.socket(), net::buffer(pieces), error);
  return sent;
}

TEST(EndlessInput, OfTrailersAndChunkExtensionsTakesNoMemory) {
  LiveServer live;
  const std::string begin =
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  constexpr std::size_t kMost = 400 << 20U;
  const std::size_t before = resident();
  for (int i = 0; i < 5; ++i) {
    EXPECT_LT(sent_until_closed(live, begin + "0\r\n", "A: b\r\n", kMost), kMost / 8);
    EXPECT_LT(sent_until_closed(live, begin + "1;", "aaaaaaaaaaaaaaaa", kMost), kMost / 8);
    EXPECT_LT(sent_until_closed(live, begin, "1;a=b\r\n \r\n", kMost), kMost / 8);
  }
  EXPECT_LT(resident(), before + (48 << 20U));
  EXPECT_EQ(HttpClient(live).get("/health").status, 200U);
}

}  // namespace
}  // namespace headwater::test
