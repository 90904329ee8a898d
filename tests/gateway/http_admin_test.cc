#include "gateway/http_admin.h"

#include <gtest/gtest.h>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

const Headers kAdmin = {{"Authorization", "Bearer secret"}};

gateway::ServerOptions with_admin() {
  gateway::ServerOptions options;
  options.api_keys = {"client"};
  options.admin_keys = {"secret"};
  return options;
}

TEST(HttpAdmin, IsNotThereWithoutAnAdminKey) {
  LiveServer live;
  HttpClient client(live);
  const Answer unknown = client.get("/admin/nowhere");
  const Answer answer = client.get("/admin/cache", kAdmin);
  EXPECT_EQ(answer.status, 404U);
  EXPECT_EQ(answer.code(), unknown.code());
  client.send(http::verb::delete_, "/admin/cache");
  EXPECT_EQ(client.receive().status, 404U);
}

TEST(HttpAdmin, WantsTheAdminKeyAndNoOther) {
  LiveServer live(with_admin());
  HttpClient client(live);
  for (const Headers& headers : {Headers{},
                                 {{"Authorization", "Bearer client"}},
                                 {{"Authorization", "Bearer secre"}},
                                 {{"Authorization", "Bearer secret2"}},
                                 {{"Authorization", "secret"}}}) {
    const Answer answer = client.get("/admin/cache", headers);
    EXPECT_EQ(answer.status, 401U);
    EXPECT_EQ(answer.code(), "invalid_admin_key");
    EXPECT_EQ(answer.header("WWW-Authenticate"), "Bearer");
  }
  EXPECT_EQ(client.get("/v1/models", kAdmin).status, 401U) << "the admin key is no API key";
  EXPECT_EQ(client.get("/admin/cache", kAdmin).status, 200U);
  client.send(http::verb::delete_, "/admin/cache", "", kAdmin);
  EXPECT_EQ(client.receive().status, 405U);
}

TEST(HttpAdmin, TellsWhatTheCacheHolds) {
  LiveServer live(with_admin());
  const Json cache = HttpClient(live).get("/admin/cache", kAdmin).json();
  EXPECT_EQ(cache["blocks"], Json({{"total", 100}, {"free", 60}, {"active", 30}, {"cached", 10}}));
  EXPECT_EQ(cache["hits"], Json({{"query_tokens", 500}, {"hit_tokens", 320}}));
  EXPECT_EQ(cache["evictions"], Json({{"demand", 7}, {"expired", 1}, {"flush", 2}, {"quota", 0}}));
}

TEST(HttpAdmin, TellsWhatMoreMemoryWouldBring) {
  LiveServer live(with_admin());
  HttpClient client(live);
  EXPECT_EQ(client.get("/admin/cache/advice").status, 401U);
  const Json advice = client.get("/admin/cache/advice", kAdmin).json();
  EXPECT_EQ(advice["advice"], "take more");
  EXPECT_EQ(advice["looked_up_blocks"], 5000);
  EXPECT_EQ(advice["measured_hit_rate"], 9.0 / 14);
  ASSERT_EQ(advice["sizes"].size(), 3U);
  EXPECT_EQ(advice["sizes"][2], Json::parse(R"({"factor": 2.0, "capacity_blocks": 200, "bytes": 200000,
                                                "hit_rate": 0.75})"));
}

}  // namespace
}  // namespace headwater::test
