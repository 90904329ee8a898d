#include "gateway/origins.h"

#include <gtest/gtest.h>

namespace headwater::test {
namespace {

using namespace gateway;

TEST(Origins, KnowsThisMachinesNames) {
  for (const char* name : {"localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1", "[::1]"}) {
    EXPECT_TRUE(is_loopback(name)) << name;
  }
  for (const char* name :
       {"", "localhost.example", "128.0.0.1", "127.0.0.1.example", "[::2]", "0.0.0.0", "0177.0.0.1"}) {
    EXPECT_FALSE(is_loopback(name)) << name;
  }
}

TEST(Origins, CutsThePortOffAHost) {
  EXPECT_EQ(without_port("a:80"), "a");
  EXPECT_EQ(without_port("a"), "a");
  EXPECT_EQ(without_port("[::1]:80"), "[::1]");
  EXPECT_EQ(without_port("[::1]"), "[::1]");
}

TEST(Origins, TakesOnLoopbackOnlyKnownHosts) {
  Origins origins("127.0.0.1", {"box.example"}, {});
  EXPECT_TRUE(origins.takes_host("anything.example"));
  origins.only_known_hosts();
  for (const char* host : {"localhost:1", "127.0.0.2:1", "[::1]:1", "BOX.example:1", "box.example"}) {
    EXPECT_TRUE(origins.takes_host(host)) << host;
  }
  for (const char* host : {"anything.example", "10.0.0.5:1", "evil.box.example"}) {
    EXPECT_FALSE(origins.takes_host(host)) << host;
  }
  Origins any("127.0.0.1", {"*"}, {});
  any.only_known_hosts();
  EXPECT_TRUE(any.takes_host("anything.example"));
}

TEST(Origins, LetsOnlyItsOwnPagesInByDefault) {
  Origins origins("0.0.0.0", {}, {});
  EXPECT_TRUE(origins.takes_origin("http://localhost:8080", "localhost:8080"));
  EXPECT_TRUE(origins.takes_origin("http://10.0.0.5:8080", "10.0.0.5:8080"));
  EXPECT_TRUE(origins.takes_origin("http://localhost", "localhost"));
  EXPECT_TRUE(origins.takes_origin("http://localhost", "localhost:80"));
  EXPECT_FALSE(origins.takes_origin("http://localhost:3000", "localhost:8080"));
  EXPECT_FALSE(origins.takes_origin("http://evil.example:8080", "localhost:8080"));
  EXPECT_FALSE(origins.takes_origin("null", "localhost:8080"));
  EXPECT_FALSE(origins.takes_origin("", "localhost:8080"));
  // A name that its owner has pointed here: the page's origin and the host agree, and still it is a stranger's.
  EXPECT_FALSE(origins.takes_origin("http://evil.example:8080", "evil.example:8080"));
  EXPECT_TRUE(Origins("0.0.0.0", {"ai.example"}, {}).takes_origin("https://ai.example", "ai.example"));
}

TEST(Origins, LetsThoseInThatAreAllowed) {
  const Origins some("127.0.0.1", {}, {"https://app.example", "null"});
  EXPECT_TRUE(some.takes_origin("https://app.example", "localhost:8080"));
  EXPECT_TRUE(some.takes_origin("null", "localhost:8080"));
  EXPECT_FALSE(some.takes_origin("http://app.example", "localhost:8080"));
  EXPECT_TRUE(Origins("127.0.0.1", {}, {"*"}).takes_origin("http://any.example", "localhost:8080"));
}

TEST(Origins, SaysHowAnOriginIsWritten) {
  for (const char* fine : {"*", "null", "https://app.example", "http://localhost:3000", "http://[::1]:8080"}) {
    EXPECT_FALSE(check_origin(fine)) << fine;
  }
  for (const char* wrong : {"", "app.example", "https://", "https://app.example/", "://x", "https://*.example",
                            "https://a b", "http://[::1]:99999", "http://a:", "http://a:80x"}) {
    EXPECT_TRUE(check_origin(wrong)) << wrong;
  }
}

TEST(Origins, TakesAnOriginWithThePortThatItsSchemeHasAnyway) {
  const Origins some("127.0.0.1", {}, {"https://app.example:443", "http://other.example:80"});
  EXPECT_TRUE(some.takes_origin("https://app.example", "localhost:8080"));
  EXPECT_TRUE(some.takes_origin("http://other.example", "localhost:8080"));
  EXPECT_FALSE(some.takes_origin("http://app.example", "localhost:8080"));
}

}  // namespace
}  // namespace headwater::test
