// A process that is killed in the middle of its writes to the disk tier, over and over: the next one serves, answers
// right, and has what was there. Five times, with a tiny model; with HEADWATER_KILLS as often as it says, with the real
// model where it is there.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <utility>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/greedy_request.h"
#include "tests/support/model_file.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

constexpr std::size_t kPrompts = 3;
constexpr std::uint32_t kAnswerTokens = 8;

/// What a process tells: the answers to the same prompts, whichever process it is.
struct Report {
  TokenId answers[kPrompts][kAnswerTokens] = {};
  std::uint64_t hit_tokens = 0, mismatches = 0;
};

Request request_of(std::uint32_t seed, std::size_t n) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < n; ++i) tokens.push_back(static_cast<TokenId>(random() % 250));
  return greedy_request(std::move(tokens), kAnswerTokens);
}

/// A process of its own, without one of gtest's: answers, reports, and then writes to the disk until it is killed.
[[noreturn]] void serve(const std::string& model, const std::string& folder, int pipe, std::uint32_t round) {
  Overrides overrides;
  overrides.model = model;
  if (folder.empty()) {
    overrides.enable_prefix_caching = false;
  } else {
    overrides.cache_dir = folder;
    overrides.cache_dir_size = "32MiB";
  }
  auto runtime =
      Runtime::start(chain_topology("cache_size_limit: 64MiB, quant_policy: k8v4", 8), "killed.yaml", overrides);
  if (!runtime) _exit(2);
  for (int i = 0; !folder.empty() && (*runtime)->stats().tier->state != TierStats::State::on; ++i) {
    if (i > 10'000) _exit(3);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EventLog log;
  const auto client = (*runtime)->connect(log.handler());
  Report report;
  for (std::uint32_t i = 0; i < kPrompts; ++i) {
    const auto tokens = log.wait(client->submit(request_of(i, 330))->id).tokens();
    std::copy_n(tokens.begin(), std::min<std::size_t>(tokens.size(), kAnswerTokens), report.answers[i]);
  }
  if (const auto tier = (*runtime)->stats().tier) {
    report.hit_tokens = tier->hit_tokens;
    report.mismatches = tier->mismatches;
  }
  if (write(pipe, &report, sizeof report) != sizeof report) _exit(4);
  for (std::uint32_t seed = 1000 * (round + 1); !folder.empty(); ++seed) {
    log.wait(client->submit(request_of(seed, 330))->id);
  }
  _exit(0);
}

/// Starts a process; gives its report, and kills it after `pause`.
Report run_and_kill(const std::string& model, const std::string& folder, std::uint32_t round,
                    std::chrono::microseconds pause) {
  int ends[2] = {-1, -1};
  Report report;
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    serve(model, folder, ends[1], round);
  }
  close(ends[1]);
  EXPECT_EQ(read(ends[0], &report, sizeof report), static_cast<ssize_t>(sizeof report)) << "it has not served";
  std::this_thread::sleep_for(pause);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ends[0]);
  return report;
}

TEST(KilledWriter, LeavesADiskTierThatTheNextProcessReadsRight) {
  const char* const given = std::getenv("HEADWATER_KILLS");
  const int kills = given == nullptr ? 5 : std::clamp(std::atoi(given), 1, 10'000);
  const TemporaryFile tiny(tiny_llama({.heads = 8, .kv_heads = 8, .head_dim = 64}).bytes());
  const std::string model = given != nullptr && !real_model().empty() ? real_model() : tiny.path();
  const auto folder = std::filesystem::temp_directory_path() / ("headwater_killed_" + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  const Report expected = run_and_kill(model, "", 0, {});
  std::mt19937 random(7);
  std::uint64_t hit_tokens = 0;
  for (int round = 0; round < kills && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const std::chrono::microseconds pause(random() % 150'000);
    const Report report = run_and_kill(model, folder.string(), static_cast<std::uint32_t>(round), pause);
    EXPECT_EQ(std::memcmp(report.answers, expected.answers, sizeof report.answers), 0);
    EXPECT_EQ(report.mismatches, 0U) << "a record that was written in part is no record";
    hit_tokens += report.hit_tokens;
  }
  EXPECT_GT(hit_tokens, 0U);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace headwater::test
