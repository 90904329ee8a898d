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
  EXPECT_EQ(cache["blocks"], Json({{"total", 100}, {"free", 60}, {"active", 30}, {"cached", 10}, {"pinned", 4}}));
  EXPECT_EQ(cache["limits"], Json({{"pinned", 25}, {"tenant_quota", 50}}));
  EXPECT_EQ(cache["block_bytes"], 12240 * 32);
  EXPECT_EQ(cache["bytes"], 15000000 + 667200);
  EXPECT_EQ(cache["hits"], Json({{"query_tokens", 500}, {"hit_tokens", 320}}));
  EXPECT_EQ(cache["evictions"], Json({{"demand", 7}, {"expired", 1}, {"flush", 2}, {"quota", 0}}));
  EXPECT_EQ(cache["tenants"][0]["tenant"], "0123456789ab");
  EXPECT_EQ(cache["tenants"][0]["bytes"], 40 * 12240 * 32);
  EXPECT_EQ(cache["ages"], Json::parse(R"([{"up_to_s": 1, "cached": 6}, {"up_to_s": null, "cached": 4}])"));
  EXPECT_EQ(cache["priorities"], Json::parse(R"([{"priority": 50, "blocks": 40}])"));
  EXPECT_EQ(cache["tier"], Json::parse(R"({"blocks": 300, "bytes": 4000000, "tenants_total": 1,
                                           "tenants": [{"tenant": "0123456789ab", "blocks": 300}]})"));
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

TEST(HttpAdmin, FlushesAllOrOneTenant) {
  LiveServer live(with_admin());
  HttpClient client(live);
  EXPECT_EQ(client.post("/admin/cache/flush", Json::object(), kAdmin).json(),
            Json({{"flushed_blocks", 10}, {"flushed_tier_blocks", 20}, {"tier_pending", true}}));
  EXPECT_EQ(client.post_text("/admin/cache/flush", "", kAdmin).status, 200U);
  EXPECT_EQ(client.post("/admin/cache/flush", {{"tenant", "0123456789ab"}}, kAdmin).json(),
            Json({{"flushed_blocks", 10}}))
      << "without a tier";
  EXPECT_EQ(live.runtime.operator_asked(), (std::vector<std::string>{"flush all", "flush all", "flush 0123456789ab"}));
  EXPECT_EQ(client.post("/admin/cache/flush", {{"tenant", 7}}, kAdmin).param(), "tenant");
  EXPECT_EQ(client.post("/admin/cache/flush", {{"tennant", "x"}}, kAdmin).code(), "unknown_parameter");
  EXPECT_EQ(client.post("/admin/cache/flush", Json::array(), kAdmin).status, 400U);
  EXPECT_EQ(client.get("/admin/cache/flush", kAdmin).header("Allow"), "POST");
  EXPECT_EQ(client.post("/admin/cache/flush", Json::object()).status, 401U);
  EXPECT_EQ(live.runtime.operator_asked().size(), 3U);
}

TEST(HttpAdmin, PinsAndUnpinsPromptsInAnyForm) {
  LiveServer live(with_admin());
  HttpClient client(live);
  const Json pinned = client.post("/admin/cache/pin", {{"prompt", "abcde"}}, kAdmin).json();
  EXPECT_EQ(pinned["cached_blocks"], 2);
  EXPECT_EQ(pinned["cached_tokens"], 6);
  EXPECT_EQ(pinned["pinned_blocks"], 1);
  EXPECT_EQ(pinned["changed_blocks"], 1);
  client.post("/admin/cache/pin", {{"prompt", "abc"}, {"add_special_tokens", false}, {"ttl", "2s"}, {"tenant", "t"}},
              kAdmin);
  client.post("/admin/cache/unpin", {{"messages", {{{"role", "user"}, {"content", "x"}}}}, {"cache_salt", "s"}},
              kAdmin);
  client.post("/admin/cache/unpin", {{"prompt_ids", {1, 2}}}, kAdmin);
  EXPECT_EQ(live.runtime.operator_asked(),
            (std::vector<std::string>{"pin 6 tokens of / forever", "pin 3 tokens of t/ 2000", "unpin 7 tokens of /s ",
                                      "unpin 2 tokens of / "}));
  const std::pair<const char*, const char*> wrong[] = {{R"({})", "prompt"},
                                                       {R"({"prompt": "a", "prompt_ids": [1]})", "prompt"},
                                                       {R"({"prompt_ids": [-1]})", "prompt_ids[0]"},
                                                       {R"({"prompt": "a", "ttl": "soon"})", "ttl"},
                                                       {R"({"prompt": "a", "ttl": 5})", "ttl"},
                                                       {R"({"prompt": "a", "tenant": []})", "tenant"}};
  for (const auto& [body, param] : wrong) {
    const Answer answer = client.post_text("/admin/cache/pin", body, kAdmin);
    EXPECT_EQ(answer.status, 400U) << body;
    EXPECT_EQ(answer.param(), param) << body;
  }
  EXPECT_EQ(client.post("/admin/cache/unpin", {{"prompt", "a"}, {"ttl", "2s"}}, kAdmin).code(), "unknown_parameter");
}

}  // namespace
}  // namespace headwater::test
