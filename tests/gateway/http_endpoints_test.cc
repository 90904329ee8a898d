#include "gateway/http_endpoints.h"

#include <gtest/gtest.h>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

TEST(HttpEndpoints, ListsTheModel) {
  LiveServer live;
  HttpClient client(live);
  const Json list = client.get("/v1/models?limit=1").json();
  EXPECT_EQ(list["data"][0]["id"], "fake");
  EXPECT_EQ(list["data"][0]["max_model_len"], 1024);
  EXPECT_EQ(list["data"][0]["default_sampling"].dump(), R"({"min_p":0.0,"temperature":0.6,"top_k":0,"top_p":1.0})");
  EXPECT_EQ(client.get("/v1/models/fake").json()["id"], "fake");
  EXPECT_EQ(client.get("/v1/models/f%61ke").json()["id"], "fake");
  const Answer other = client.get("/v1/models/other");
  EXPECT_EQ(other.status, 404U);
  EXPECT_EQ(other.code(), "model_not_found");
}

TEST(HttpEndpoints, EndsASession) {
  LiveServer live;
  HttpClient client(live);
  client.send(http::verb::delete_, "/v1/sessions/my%20chat");
  EXPECT_EQ(client.receive().code(), "not_found");
  const Json message = {{"role", "user"}, {"content", "hi"}};
  client.post("/v1/chat/completions", {{"messages", {message}}, {"session", "my chat"}});
  client.send(http::verb::delete_, "/v1/sessions/my%20chat");
  const Answer ended = client.receive();
  EXPECT_EQ(ended.status, 200U);
  EXPECT_EQ(ended.json(), Json({{"id", "my chat"}, {"object", "session"}, {"deleted", true}}));
  EXPECT_EQ(live.runtime.operator_asked(), (std::vector<std::string>{"end /my chat", "end /my chat"}));
  EXPECT_EQ(client.get("/v1/sessions/x").header("Allow"), "DELETE");
}

TEST(HttpEndpoints, Tokenizes) {
  LiveServer live;
  HttpClient client(live);
  const Json plain = client.post("/tokenize", {{"prompt", "ab"}, {"add_special_tokens", false}}).json();
  EXPECT_EQ(plain["tokens"], Json::array({97, 98}));
  EXPECT_EQ(plain["count"], 2);
  EXPECT_EQ(plain["max_model_len"], 1024);
  EXPECT_EQ(client.post("/tokenize", {{"prompt", "ab"}}).json()["count"], 3);
  const Json chat = client.post("/tokenize", {{"messages", {{{"role", "user"}, {"content", "x"}}}}}).json();
  EXPECT_EQ(chat["count"], 7);
  EXPECT_EQ(client.post("/tokenize", Json::object()).param(), "prompt");
  EXPECT_EQ(client.post("/tokenize", {{"prompt", 7}}).param(), "prompt");
  const Json messages = Json::array({{{"role", "user"}, {"content", "x"}}});
  EXPECT_EQ(client.post("/tokenize", {{"messages", messages}, {"add_generation_prompt", false}}).json()["count"], 6);
  EXPECT_EQ(client.post("/tokenize", {{"prompt", "a"}, {"add_generation_prompt", "no"}}).param(),
            "add_generation_prompt");
  const Answer long_text = client.post("/tokenize", {{"prompt", std::string((1 << 20) + 1, 'x')}});
  EXPECT_EQ(long_text.status, 413U);
  EXPECT_EQ(long_text.param(), "prompt");
}

TEST(HttpEndpoints, Detokenizes) {
  LiveServer live;
  HttpClient client(live);
  EXPECT_EQ(client.post("/detokenize", {{"tokens", {104, 105}}}).json()["prompt"], "hi");
  EXPECT_EQ(client.post("/detokenize", {{"tokens", Json::array()}}).json()["prompt"], "");
  EXPECT_EQ(client.post("/detokenize", {{"tokens", {1999}}}).status, 400U);
  EXPECT_EQ(client.post("/detokenize", {{"tokens", {-1}}}).param(), "tokens[0]");
  EXPECT_EQ(client.post("/detokenize", Json::object()).param(), "tokens");
}

TEST(HttpEndpoints, IsAliveWhileDrainingButNotReady) {
  LiveServer live;
  HttpClient client(live);
  EXPECT_EQ(client.get("/health").status, 200U);
  EXPECT_EQ(client.get("/ready").status, 200U);
  live.runtime.drain_now();
  EXPECT_EQ(client.get("/health").status, 200U);
  const Answer draining = client.get("/ready");
  EXPECT_EQ(draining.status, 503U);
  EXPECT_EQ(draining.code(), "draining");
}

}  // namespace
}  // namespace headwater::test
