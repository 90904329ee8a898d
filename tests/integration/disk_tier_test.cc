// What the disk tier gives back is what was computed: greedy output is the same cold, from memory and, after a restart,
// from the disk, in every format of the KV cache.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "headwater/runtime.h"
#include "kernels/kv_format.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/greedy_request.h"
#include "tests/support/model_file.h"

namespace headwater::test {
namespace {

std::vector<TokenId> prompt_of(TokenId seed, std::size_t n) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < n; ++i) tokens.push_back(300 + (seed * 131 + static_cast<TokenId>(i) * 17) % 4000);
  return tokens;
}

/// Parametrised by the quant_policy of the cache.
class DiskTier : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
    folder_ =
        std::filesystem::temp_directory_path() / ("headwater_disk_" + std::to_string(getpid()) + "_" + GetParam());
    std::filesystem::remove_all(folder_);
    overrides_.model = real_model();
    overrides_.quant_policy = GetParam();
    overrides_.cache_dir = folder_.string();
    overrides_.cache_dir_size = "256MiB";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Runtime> start() {
    auto runtime = Runtime::start(chain_topology("cache_size_limit: 64MiB", 8), "disk.yaml", overrides_);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    if (overrides_.cache_dir) {
      wait_until(**runtime, [](const Stats& stats) { return stats.tier->state == TierStats::State::on; });
    }
    return std::move(runtime).value();
  }

  template <class Condition>
  static void wait_until(const Runtime& runtime, const Condition& holds) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!holds(runtime.stats())) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "the disk tier did not get there";
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  struct Answer {
    std::vector<TokenId> tokens;
    std::uint32_t cached = 0;
  };
  static Answer ask(Runtime& runtime, const std::vector<TokenId>& prompt) {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    const Outcome outcome = log.wait(client->submit(greedy_request(prompt, 16))->id);
    return {outcome.tokens(), outcome.last().usage.cached_tokens};
  }

  std::filesystem::path folder_;
  Overrides overrides_;
};

TEST_P(DiskTier, GivesTheSameAnswersColdFromMemoryAndFromTheDiskAfterARestart) {
  std::vector<std::vector<TokenId>> prompts;
  for (TokenId seed = 1; seed <= 3; ++seed)
    prompts.push_back(prompt_of(seed, 300 + 77 * static_cast<std::size_t>(seed)));
  std::vector<Answer> cold;
  {
    const auto runtime = start();
    for (const auto& prompt : prompts) cold.push_back(ask(*runtime, prompt));
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const Answer warm = ask(*runtime, prompts[i]);
      EXPECT_EQ(warm.tokens, cold[i].tokens);
      EXPECT_GT(warm.cached, 0U);
    }
    // Deep blocks are worth it at once, and those below them for their sake.
    wait_until(*runtime, [](const Stats& stats) { return stats.tier->saved_blocks >= 43; });
    EXPECT_EQ(runtime->stats().tier->hit_tokens, 0U);
  }
  // On a busy machine a load may come too late, and the prompt is then computed: another restart brings another try.
  const kernels::BlockGrid grid = kernels::block_grid(kernels::parse_quant_policy(GetParam()).value(), 32);
  std::set<std::size_t> restored;
  for (int restart = 0; restart < 10 && restored.size() < prompts.size(); ++restart) {
    const auto runtime = start();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const std::uint64_t before = runtime->stats().tier->hit_tokens;
      const Answer answer = ask(*runtime, prompts[i]);
      EXPECT_EQ(answer.tokens, cold[i].tokens);
      EXPECT_EQ(answer.cached, runtime->stats().tier->hit_tokens - before);
      const auto most = static_cast<std::uint32_t>(prompts[i].size() - 1);
      if (answer.cached == grid.begin(grid.whole(most))) restored.insert(i);
    }
    EXPECT_EQ(runtime->stats().tier->mismatches + runtime->stats().tier->errors, 0U);
  }
  EXPECT_EQ(restored.size(), prompts.size());
}

/// Prompts that come together in a pool that holds one or two of them, so that all are driven out to the disk and come
/// back from there, among evictions and preemptions.
TEST_P(DiskTier, GivesTheSameAnswersInAPoolSoSmallThatBlocksComeAndGo) {
  const std::map<std::string, const char*> limits = {{"0", "24MiB"}, {"8", "13MiB"}, {"4", "7MiB"}, {"k8v4", "10MiB"}};
  const auto all_at_once = [](Runtime& runtime) {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    std::vector<RequestId> ids;
    for (TokenId seed = 1; seed <= 8; ++seed) {
      // Two of a kind begin alike.
      auto prompt = prompt_of(seed / 2, 280);
      const auto end = prompt_of(seed + 50, 100);
      prompt.insert(prompt.end(), end.begin(), end.end());
      ids.push_back(client->submit(greedy_request(prompt, 16))->id);
    }
    std::vector<std::vector<TokenId>> answers;
    for (RequestId id : ids) answers.push_back(log.wait(id).tokens());
    return answers;
  };
  overrides_.cache_size_limit = limits.at(GetParam());
  overrides_.cache_dir.reset();
  overrides_.cache_dir_size.reset();
  const auto expected = all_at_once(*start());
  overrides_.cache_dir = folder_.string();
  const auto runtime = start();
  for (int round = 0; round < 2 || (round < 10 && runtime->stats().tier->hit_tokens == 0); ++round) {
    EXPECT_EQ(all_at_once(*runtime), expected) << "round " << round;
  }
  const Stats stats = runtime->stats();
  EXPECT_GT(stats.evictions[static_cast<std::size_t>(EvictionReason::demand)], 0U);
  EXPECT_GT(stats.tier->hit_tokens, 0U);
  EXPECT_EQ(stats.tier->mismatches + stats.tier->errors, 0U);
  wait_until(*runtime, [](const Stats& now) { return now.blocks_active == 0; });
}

INSTANTIATE_TEST_SUITE_P(Policies, DiskTier, testing::Values("0", "8", "4", "k8v4"),
                         [](const auto& test) { return std::string("Kv") + test.param; });

}  // namespace
}  // namespace headwater::test
