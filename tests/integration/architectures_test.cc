// Greedy output of small random models of every architecture is the same whatever the cache held, whoever ran beside,
// however prompts were cut, and after preemptions, in every format of the cache.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

constexpr std::uint32_t kAnswerTokens = 20;
constexpr int kPrompts = 12;

/// Of 30 to 250 tokens; a few begin alike, some within a block.
std::vector<std::vector<TokenId>> prompts() {
  std::vector<std::vector<TokenId>> all;
  for (int i = 0; i < kPrompts; ++i) {
    std::vector<TokenId> ids;
    for (int t = 0; t < 30 + 20 * i; ++t) ids.push_back((t * 37 + (t < 25 + 11 * (i % 4) ? i % 3 : i) * 53) % 250);
    all.push_back(std::move(ids));
  }
  return all;
}

using Answers = std::vector<std::vector<TokenId>>;

/// Parametrised by architecture and quant_policy.
class ArchitectureDeterminism : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  ArchitectureDeterminism()
      : file_(tiny_llama({.layers = 3, .context = 1024, .architecture = std::get<0>(GetParam())}).bytes()) {
    overrides_.model = file_.path();
    overrides_.quant_policy = std::get<1>(GetParam());
  }

  std::unique_ptr<Runtime> start(Overrides overrides, const char* limit = "16MiB") const {
    overrides.cache_size_limit = limit;
    auto runtime = Runtime::start(chain_topology("block_tokens: 16", 32), "architectures.yaml", overrides);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }

  static Answers answers(Runtime& runtime, bool together) {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    std::vector<RequestId> ids;
    Answers found;
    for (const auto& prompt : prompts()) {
      Request request;
      request.prompt = prompt;
      request.params.temperature = 0;
      request.params.max_tokens = kAnswerTokens;
      request.params.ignore_eos = true;
      ids.push_back(client->submit(request)->id);
      if (!together) found.push_back(log.wait(ids.back()).tokens());
    }
    for (std::size_t i = found.size(); i < ids.size(); ++i) found.push_back(log.wait(ids[i]).tokens());
    return found;
  }

  TemporaryFile file_;
  Overrides overrides_;
};

TEST_P(ArchitectureDeterminism, AnswersAreTheSameHoweverTheyCameAbout) {
  Overrides uncached = overrides_;
  uncached.enable_prefix_caching = false;
  const Answers expected = answers(*start(uncached), false);
  for (const auto& answer : expected) ASSERT_EQ(answer.size(), kAnswerTokens);
  EXPECT_EQ(answers(*start(uncached), true), expected) << "all at once";

  overrides_.prefix_match_threshold = 0;
  const auto cached = start(overrides_);
  EXPECT_EQ(answers(*cached, true), expected) << "all at once with a cold cache";
  const auto before = cached->stats();
  EXPECT_EQ(answers(*cached, false), expected) << "with a warm cache";
  EXPECT_GT(cached->stats().prefix_hit_tokens, before.prefix_hit_tokens + 1000);

  Overrides cut = uncached;
  cut.prefill_chunk = 16;
  EXPECT_EQ(answers(*start(cut), true), expected) << "in chunks of 16";
}

TEST_P(ArchitectureDeterminism, AnswersAreTheSameAfterPreemptions) {
  Overrides uncached = overrides_;
  uncached.enable_prefix_caching = false;
  const Answers expected = answers(*start(uncached), false);
  // Of 3 layers, 2 heads of 16 and blocks of 16 tokens: room for some 500 tokens in every format.
  const std::map<std::string, const char*> limits = {
      {"0", "200KiB"}, {"8", "120KiB"}, {"4", "75KiB"}, {"k8v4", "100KiB"}};
  const auto tight = start(overrides_, limits.at(std::get<1>(GetParam())));
  EXPECT_EQ(answers(*tight, true), expected);
  EXPECT_GT(tight->stats().preemptions, 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ArchitectureDeterminism,
    testing::Combine(testing::Values("llama", "qwen2", "qwen3", "gemma3", "phi3", "internlm2", "granite"),
                     testing::Values("0", "8", "4", "k8v4")),
    [](const auto& test) { return std::string(std::get<0>(test.param)) + "_Kv" + std::get<1>(test.param); });

}  // namespace
}  // namespace headwater::test
