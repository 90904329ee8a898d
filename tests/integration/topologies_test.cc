// Every topology that ships starts and answers over HTTP, twice alike, the second time from the cache.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "gateway/server.h"
#include "headwater/runtime.h"
#include "tests/support/http_client.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

struct Shipped {
  const char* file;
  const char* quant_policy;
  double kv_factor;  ///< at least, for the tiny model's heads of 16
};

class Topologies : public testing::TestWithParam<Shipped> {
 protected:
  void SetUp() override {
    model_ = (std::filesystem::temp_directory_path() / ("headwater_topology_" + std::to_string(getpid()) + ".gguf"));
    write_tiny_llama(model_.string(), {});
  }
  void TearDown() override { std::filesystem::remove(model_); }

  std::unique_ptr<Runtime> start() const {
    const std::string path = std::string("topologies/") + GetParam().file;
    std::stringstream yaml;
    yaml << std::ifstream(path).rdbuf();
    Overrides overrides;
    overrides.model = model_.string();
    overrides.cache_size_limit = "16MiB";
    auto runtime = Runtime::start(yaml.str(), path, overrides);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }

 private:
  std::filesystem::path model_;
};

Json complete(std::uint16_t port) {
  const std::string prompt =
      "A prompt of more than two blocks, so that the second answer finds some of them cached: "
      "and a few words more.";
  HttpConnection client(port);
  const Answer answer = client.post("/v1/completions",
                                    {{"prompt", prompt}, {"max_tokens", 40}, {"temperature", 0}, {"ignore_eos", true}});
  EXPECT_EQ(answer.status, 200U) << answer.body;
  return answer.json();
}

TEST_P(Topologies, StartsAndServes) {
  const auto runtime = start();
  EXPECT_EQ(runtime->model().quant_policy, GetParam().quant_policy);
  EXPECT_GE(runtime->model().kv_factor, GetParam().kv_factor);
  gateway::ServerOptions options;
  options.port = 0;
  auto server = gateway::Server::start(*runtime, options);
  ASSERT_TRUE(server.ok());
  const Json first = complete((*server)->port());
  const Json second = complete((*server)->port());
  EXPECT_EQ(first.at("usage").at("completion_tokens"), 40);
  EXPECT_EQ(first.at("choices"), second.at("choices"));
  EXPECT_GT(runtime->stats().prefix_hit_tokens, 0U);
  (*server)->stop();
}

INSTANTIATE_TEST_SUITE_P(Shipped, Topologies,
                         testing::Values(::headwater::test::Shipped{"single.yaml", "0", 1},
                                         ::headwater::test::Shipped{"low_latency.yaml", "0", 1},
                                         ::headwater::test::Shipped{"high_concurrency.yaml", "8", 1.6},
                                         ::headwater::test::Shipped{"max_throughput.yaml", "4", 2.6}),
                         [](const auto& test) {
                           const std::string file = test.param.file;
                           return file.substr(0, file.find('.'));
                         });

}  // namespace
}  // namespace headwater::test
