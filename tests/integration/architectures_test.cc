// Greedy output of small random models of every architecture is the same whatever the cache held, whoever ran beside,
// however prompts were cut, and after preemptions, in every format of the cache.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/greedy_request.h"
#include "tests/support/sample.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

constexpr int kPrompts = 8;

/// Of 60 to 270 tokens; a few begin alike, some within a block.
std::vector<std::vector<TokenId>> prompts() {
  std::vector<std::vector<TokenId>> all;
  for (int i = 0; i < kPrompts; ++i) {
    std::vector<TokenId> ids;
    for (int t = 0; t < 60 + 30 * i; ++t) ids.push_back((t * 37 + (t < 45 + 11 * (i % 4) ? i % 3 : i) * 53) % 250);
    all.push_back(std::move(ids));
  }
  return all;
}

using Answers = std::vector<std::vector<TokenId>>;

/// Parametrised by architecture and quant_policy.
class ArchitectureDeterminism : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override {
    const std::string architecture = std::get<0>(GetParam()), policy = std::get<1>(GetParam());
    // What reads the cache is one for those without a window, and another for those with one.
    const bool in_sample = policy == "0" || architecture == "qwen3" || architecture == "gemma3";
    if (!runs_all() && !in_sample) GTEST_SKIP() << kNotInTheSample;
    write(architecture, 3);
    overrides_.quant_policy = policy;
    overrides_.cache_size_limit = "16MiB";
  }

  /// "wide": a llama so wide that its feed-forward layers are computed in 8 bits where that is faster, quantised, with
  /// as many bytes of keys and values as the others.
  void write(const std::string& architecture, std::uint32_t layers) {
    TinyOptions options = {.layers = layers, .head_dim = 32, .context = 1024};
    if (architecture != "wide") {
      options.architecture = architecture;
    } else {
      options.heads = 24;
      options.kv_heads = 1;
      options.head_dim = 64;
      options.type = kernels::DType::q4_1;
    }
    file_.emplace(tiny_llama(options).bytes());
    overrides_.model = file_->path();
  }

  static std::unique_ptr<Runtime> start(const Overrides& overrides, unsigned step_tokens = 512,
                                        const char* scheduling = "") {
    auto runtime = Runtime::start(chain_topology("block_tokens: 16", 32, step_tokens, scheduling), "architectures.yaml",
                                  overrides);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }

  static Answers answers(Runtime& runtime, bool together, std::uint32_t n_tokens = 12) {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    std::vector<RequestId> ids;
    Answers found;
    for (const auto& prompt : prompts()) {
      ids.push_back(client->submit(greedy_request(prompt, n_tokens))->id);
      if (!together) found.push_back(log.wait(ids.back()).tokens());
    }
    for (std::size_t i = found.size(); i < ids.size(); ++i) found.push_back(log.wait(ids[i]).tokens());
    return found;
  }

  std::optional<TemporaryFile> file_;
  Overrides overrides_;
};

TEST_P(ArchitectureDeterminism, AnswersAreTheSameHoweverTheyCameAbout) {
  Overrides uncached = overrides_;
  uncached.enable_prefix_caching = false;
  const Answers expected = answers(*start(uncached), false);
  for (const auto& answer : expected) ASSERT_EQ(answer.size(), 12U);
  EXPECT_EQ(answers(*start(uncached), true), expected) << "all at once";

  overrides_.prefix_match_threshold = 0;
  const auto cached = start(overrides_);
  EXPECT_EQ(answers(*cached, true), expected) << "all at once with a cold cache";
  const auto before = cached->stats();
  EXPECT_EQ(answers(*cached, false), expected) << "with a warm cache";
  EXPECT_GT(cached->stats().prefix_hit_tokens, before.prefix_hit_tokens + 800);

  Overrides cut = uncached;
  cut.prefill_chunk = 16;
  EXPECT_EQ(answers(*start(cut), true), expected) << "in chunks of 16";
}

TEST_P(ArchitectureDeterminism, AnswersAreTheSameAfterPreemptions) {
  constexpr std::uint32_t kTokens = 40;
  // So many layers that the smallest cache holds about a thousand tokens in every format, and the prompts have more.
  const std::map<std::string, std::uint32_t> layers = {{"0", 4}, {"8", 7}, {"4", 13}, {"k8v4", 9}};
  write(std::get<0>(GetParam()), layers.at(std::get<1>(GetParam())));
  Overrides uncached = overrides_;
  uncached.enable_prefix_caching = false;
  const Answers expected = answers(*start(uncached), false, kTokens);
  overrides_.cache_size_limit = "1MiB";
  const auto tight = start(overrides_, 512, "admission: eager");
  EXPECT_EQ(answers(*tight, true, kTokens), expected);
  EXPECT_GT(tight->stats().preemptions, 0U);
}

/// The pool has room for all rows of some twenty blocks, or for more that have given their window rows back.
TEST_P(ArchitectureDeterminism, AnswersAreTheSameWhereWindowRowsAreGivenBack) {
  const std::string architecture = std::get<0>(GetParam());
  if (architecture != "gemma2" && architecture != "gemma3" && architecture != "phi3") {
    GTEST_SKIP() << "no layer has a window";
  }
  const std::map<std::string, std::uint32_t> layers = {{"0", 12}, {"8", 20}, {"4", 36}, {"k8v4", 26}};
  write(architecture, layers.at(std::get<1>(GetParam())));
  constexpr unsigned kStepTokens = 64;
  Overrides uncached = overrides_;
  uncached.enable_prefix_caching = false;
  const Answers expected = answers(*start(uncached), false);
  overrides_.cache_size_limit = "1MiB";
  overrides_.prefix_match_threshold = 0;
  const auto tight = start(overrides_, kStepTokens);
  std::uint64_t most_held = 0;
  for (const bool together : {true, false, true, false}) {
    EXPECT_EQ(answers(*tight, together), expected) << (together ? "together" : "one by one");
    const Stats stats = tight->stats();
    EXPECT_LE(stats.kv_full_bytes + stats.kv_window_bytes, 1U << 20U);
    most_held = std::max(most_held, stats.blocks_active + stats.blocks_cached);
  }
  EXPECT_GT(tight->stats().prefix_hit_tokens, 100U);
  EXPECT_GT(most_held, 26U);
}

INSTANTIATE_TEST_SUITE_P(Models, ArchitectureDeterminism,
                         testing::Combine(testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3",
                                                          "internlm2", "granite", "wide"),
                                          testing::Values("0", "8", "4", "k8v4")),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_Kv" + std::get<1>(test.param);
                         });

}  // namespace
}  // namespace headwater::test
