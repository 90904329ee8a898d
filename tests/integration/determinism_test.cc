// Greedy output of 32 prompts is the same whatever the cache held, whoever ran beside, however the prompt was cut.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/greedy_request.h"
#include "tests/support/model_file.h"
#include "tests/support/sample.h"
#include "tests/support/wait_until.h"

namespace headwater::test {
namespace {

constexpr std::uint32_t kAnswerTokens = 24;
constexpr std::size_t kPrompts = 32;

/// Prompts of many lengths, some of which begin alike.
std::vector<std::string> prompts(std::size_t n = kPrompts) {
  std::vector<std::string> found;
  std::ifstream file(reference_dir() + "/smollm2/completions.jsonl");
  for (std::string line; std::getline(file, line);) {
    const auto record = nlohmann::json::parse(line);
    if (record.at("ids").size() < 600) found.push_back(record.at("prompt"));
  }
  for (std::size_t i = 0; found.size() < n; ++i) {
    found.push_back(found.at(i) + " And so, said the " + std::to_string(i) + "th of them,");
  }
  found.resize(n);
  return found;
}

using Answers = std::vector<std::vector<TokenId>>;

/// Parametrised by the quant_policy of the cache.
class Determinism : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (real_model().empty() || reference_dir().empty()) GTEST_SKIP() << "the real model is not in models/";
    if (!runs_all() && !in_sample()) GTEST_SKIP() << kNotInTheSample;
    overrides_.model = real_model();
    overrides_.quant_policy = GetParam();
  }

  /// With 16 bits all; of the other formats each thing once: batches, hits, blocks that are copied in part, and chunks
  /// and preemptions together. What a disk gives back is tried in every format by disk_tier_test.cc.
  static bool in_sample() {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    return GetParam() == std::string("0") || test.starts_with("AllAtOnceWithAColdThenAWarmCache") ||
           test.starts_with("WithBlocksThatAgreeInPart") || test.starts_with("InSmallChunksAndASmallPool");
  }

  std::unique_ptr<Runtime> start(const char* scheduling = "") {
    auto runtime =
        Runtime::start(chain_topology("cache_size_limit: 512MiB", 32, 512, scheduling), "determinism.yaml", overrides_);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }

  static Request greedy(const std::string& prompt) { return greedy_request(prompt, kAnswerTokens); }

  /// One after the other.
  Answers alone(Runtime& runtime) const {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    Answers answers;
    for (const auto& prompt : prompts(n_prompts_))
      answers.push_back(log.wait(client->submit(greedy(prompt))->id).tokens());
    return answers;
  }

  Answers together(Runtime& runtime) const {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    std::vector<RequestId> ids;
    for (const auto& prompt : prompts(n_prompts_)) ids.push_back(client->submit(greedy(prompt))->id);
    Answers answers;
    for (RequestId id : ids) answers.push_back(log.wait(id).tokens());
    return answers;
  }

  /// The answers that all others are held against: no cache, one at a time.
  const Answers& expected() {
    static std::map<std::string, Answers> answers;
    Answers& found = answers[GetParam() + std::to_string(n_prompts_)];
    if (found.empty()) {
      const Overrides kept = overrides_;
      overrides_.enable_prefix_caching = false;
      const auto runtime = start();
      overrides_ = kept;
      found = alone(*runtime);
    }
    return found;
  }

  /// All at once in a pool that is too small for them: many are preempted, and computed again.
  void expect_the_same_with_preemptions(const std::string& pool) {
    overrides_.cache_size_limit = pool;
    const auto runtime = start("admission: eager");
    EXPECT_EQ(together(*runtime), expected());
    const Stats stats = runtime->stats();
    EXPECT_GT(stats.preemptions, 0U);
    EXPECT_GT(stats.evictions[static_cast<std::size_t>(EvictionReason::demand)], 0U);
    EXPECT_EQ(stats.blocks_free + stats.blocks_active + stats.blocks_cached, stats.blocks_total);
  }

  std::size_t n_prompts_ = kPrompts;
  Overrides overrides_;
};

TEST_P(Determinism, AllAtOnceWithoutACache) {
  for (const auto& answer : expected()) ASSERT_EQ(answer.size(), kAnswerTokens);
  overrides_.enable_prefix_caching = false;
  EXPECT_EQ(together(*start()), expected());
}

TEST_P(Determinism, AllAtOnceWithAColdThenAWarmCache) {
  const auto runtime = start();
  EXPECT_EQ(together(*runtime), expected());
  const auto before = runtime->stats();
  EXPECT_EQ(together(*runtime), expected());
  EXPECT_EQ(alone(*runtime), expected());
  EXPECT_GT(runtime->stats().prefix_hit_tokens, before.prefix_hit_tokens + 500);
}

/// The prompts cut off at many places, so that each of them ends, and then goes on, within a block that is cached.
TEST_P(Determinism, WithBlocksThatAgreeInPart) {
  overrides_.prefix_match_threshold = 0;
  const auto runtime = start();
  EventLog log;
  const auto client = runtime->connect(log.handler());
  for (const auto& prompt : prompts()) {
    for (const std::size_t cut : {prompt.size() / 3, prompt.size() / 2}) {
      Request request = greedy(prompt.substr(0, cut) + " or not.");
      request.params.max_tokens = 5;
      log.wait(client->submit(request)->id);
    }
  }
  EXPECT_EQ(alone(*runtime), expected());
  const auto before = runtime->stats();
  EXPECT_EQ(together(*runtime), expected());
  // Of a prompt that has been computed only the last token is computed again.
  const auto after = runtime->stats();
  EXPECT_EQ(after.prefix_query_tokens - before.prefix_query_tokens - kPrompts,
            after.prefix_hit_tokens - before.prefix_hit_tokens);
}

/// A chat, in which every turn goes on where an answer has ended, and the same without a cache.
TEST_P(Determinism, OfALongChatWhoseTurnsComputeOnlyWhatIsNew) {
  constexpr int kTurns = 20;
  const auto turn = [](Runtime& runtime, std::vector<TokenId>& said, int number) {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    for (int i = 0; i < 9 + number % 5; ++i) said.push_back(300 + (number * 131 + i * 17) % 4000);
    Request request = greedy("");
    request.prompt = said;
    request.params.max_tokens = static_cast<std::uint32_t>(11 + number % 7);
    const Outcome outcome = log.wait(client->submit(request)->id);
    const auto answer = outcome.tokens();
    said.insert(said.end(), answer.begin(), answer.end());
    return outcome.last().usage;
  };
  const auto cached = start();
  overrides_.enable_prefix_caching = false;
  const auto uncached = start();
  std::vector<TokenId> said, expected;
  std::uint64_t computed = 0, fresh = 0;
  for (int number = 0; number < kTurns; ++number) {
    const std::size_t before = said.size();
    const Usage usage = turn(*cached, said, number);
    computed += usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens - 1;
    fresh += said.size() - before;
    turn(*uncached, expected, number);
    ASSERT_EQ(said, expected) << "turn " << number;
    wait_until([&] { return cached->stats().blocks_active == 0; });
  }
  EXPECT_LE(static_cast<double>(computed), 1.05 * static_cast<double>(fresh));
}

TEST_P(Determinism, WithAPoolSoSmallThatSequencesArePreempted) {
  // As many blocks in every format.
  const std::map<std::string, const char*> pools = {{"0", "24MiB"}, {"8", "13MiB"}, {"4", "7MiB"}, {"k8v4", "10MiB"}};
  expect_the_same_with_preemptions(pools.at(GetParam()));
}

TEST_P(Determinism, InSmallChunksAndASmallPool) {
  if (GetParam() == std::string("0") && !runs_all()) GTEST_SKIP() << "each alone is part of the sample";
  const std::map<std::string, const char*> pools = {{"0", "12MiB"}, {"8", "6MiB"}, {"4", "3MiB"}, {"k8v4", "5MiB"}};
  n_prompts_ = kPrompts / 2;
  overrides_.prefill_chunk = 16;
  expect_the_same_with_preemptions(pools.at(GetParam()));
}

TEST_P(Determinism, WithPromptsCutIntoChunksOf16) {
  overrides_.prefill_chunk = 16;
  EXPECT_EQ(together(*start()), expected());
}

TEST_P(Determinism, WithPromptsCutIntoChunksOf512) {
  overrides_.prefill_chunk = 512;
  EXPECT_EQ(together(*start()), expected());
}

TEST_P(Determinism, OnOneThread) {
  overrides_.threads = 1;
  EXPECT_EQ(together(*start()), expected());
}

TEST_P(Determinism, SampledTextDependsOnTheSeedAlone) {
  const auto runtime = start();
  EventLog log;
  const auto client = runtime->connect(log.handler());
  Request request = greedy("Once upon a time");
  request.params.temperature = 0.9F;
  request.params.seed = 1234;
  const auto quiet = log.wait(client->submit(request)->id).tokens();
  std::vector<RequestId> noise;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Request other = request;
    other.params.seed = i;
    noise.push_back(client->submit(other)->id);
  }
  EXPECT_EQ(log.wait(client->submit(request)->id).tokens(), quiet);
  std::size_t different = 0;
  for (RequestId id : noise) different += log.wait(id).tokens() != quiet ? 1 : 0;
  EXPECT_GE(different, 7U);
}

INSTANTIATE_TEST_SUITE_P(Policies, Determinism, testing::Values("0", "8", "4", "k8v4"),
                         [](const auto& test) { return std::string("Kv") + test.param; });

}  // namespace
}  // namespace headwater::test
