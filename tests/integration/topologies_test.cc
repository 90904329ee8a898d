// Every topology that ships starts and answers over HTTP, twice alike, the second time from the cache.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "gateway/server.h"
#include "headwater/runtime.h"
#include "tests/support/events.h"
#include "tests/support/http_client.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

struct Shipped {
  const char* file;
  const char* quant_policy;
  double kv_factor;  ///< at least, for the tiny model's heads of 16
};
void PrintTo(const Shipped& shipped, std::ostream* out) { *out << shipped.file; }

/// A file with the tiny model, as long as this lives.
class TinyModel {
 public:
  TinyModel() { write_tiny_llama(path_.string(), {}); }
  ~TinyModel() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("headwater_topology_" + std::to_string(getpid()) + ".gguf");
};

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class Topologies : public testing::TestWithParam<Shipped> {
 protected:
  std::unique_ptr<Runtime> start() const {
    const std::string path = std::string("topologies/") + GetParam().file;
    Overrides overrides;
    overrides.model = model_.path();
    overrides.cache_size_limit = "16MiB";
    auto runtime = Runtime::start(text_of(path), path, overrides);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }

 private:
  TinyModel model_;
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

/// single.yaml with a list of warm-up prompts.
Result<std::unique_ptr<Runtime>> start_warmed(const TinyModel& model, const std::string& prompts, bool caching = true) {
  std::string yaml = text_of("topologies/single.yaml");
  const std::string cache = "cache: { ";
  yaml.replace(yaml.find(cache), cache.size(), cache + "warmup: " + prompts + ", ");
  Overrides overrides;
  overrides.model = model.path();
  overrides.cache_size_limit = "16MiB";
  if (!caching) overrides.enable_prefix_caching = false;
  return Runtime::start(yaml, "warm.yaml", overrides);
}

TEST(Warmup, IsDoneWhenTheRuntimeHasStarted) {
  const TinyModel model;
  const std::string text = "A prompt that is known before anybody asks, and goes on for more than a block of tokens.";
  const auto runtime = start_warmed(model, "['" + text + "']");
  ASSERT_TRUE(runtime.ok()) << runtime.error().message;
  EventLog log;
  const auto client = (*runtime)->connect(log.handler());
  Request request;
  request.prompt = text + " Really.";
  request.params.max_tokens = 1;
  EXPECT_GE(log.wait(client->submit(request)->id).last().usage.cached_tokens, 32U);
}

TEST(Warmup, IsLeftOutWithoutAPrefixCache) {
  const TinyModel model;
  const auto runtime = start_warmed(model, "[a prompt]", false);
  ASSERT_TRUE(runtime.ok()) << runtime.error().message;
  EXPECT_EQ((*runtime)->stats().accepted, 0U);
}

TEST(Warmup, EndsTheStartWhereAPromptCannotBeServed) {
  const TinyModel model;
  const auto runtime = start_warmed(model, "[a prompt, '" + std::string(3000, 'x') + "']");
  ASSERT_FALSE(runtime.ok());
  EXPECT_NE(runtime.error().message.find("warmup[1]: This model's maximum context length is 512 tokens."),
            std::string::npos)
      << runtime.error().message;
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
