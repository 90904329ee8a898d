// Answers with tokens that were guessed and checked are those without, event for event, in text that repeats.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/greedy_request.h"
#include "tests/support/model_file.h"

namespace headwater::test {
namespace {

constexpr std::uint32_t kAnswerTokens = 100;

const char* const kFile =
    "def total(items):\n    result = 0\n    for item in items:\n        result += item.price\n    return result\n\n"
    "def count(items):\n    result = 0\n    for item in items:\n        result += 1\n    return result\n\n"
    "def mean(items):\n    return total(items) / count(items)\n";

/// A file that is to be repeated with one change; the answer has been begun, so that a small model goes on with it.
std::string edit(const std::string& name) {
  return "<|im_start|>user\nRepeat this file, but call the function `mean` " + name + ".\n```python\n" +
         std::string(kFile) + "```<|im_end|>\n<|im_start|>assistant\n```python\ndef total(items):\n    result = 0\n";
}

/// Events that must be the same; what became of the cache need not be.
using Answer = std::vector<TokenEvent>;

void expect_same(const Answer& one, const Answer& other) {
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    SCOPED_TRACE("event " + std::to_string(i));
    EXPECT_EQ(one[i].kind, other[i].kind);
    ASSERT_EQ(one[i].token_ids, other[i].token_ids);
    EXPECT_EQ(one[i].text, other[i].text);
    EXPECT_EQ(one[i].finish_reason, other[i].finish_reason);
    EXPECT_EQ(one[i].stop_match, other[i].stop_match);
    EXPECT_EQ(one[i].usage.prompt_tokens, other[i].usage.prompt_tokens);
    EXPECT_EQ(one[i].usage.completion_tokens, other[i].usage.completion_tokens);
    ASSERT_EQ(one[i].logprobs.size(), other[i].logprobs.size());
    for (std::size_t k = 0; k < one[i].logprobs.size(); ++k) {
      const auto same = [](const TokenLogprob& a, const TokenLogprob& b) {
        // To the last bit: of a prompt's first token it is a NaN.
        return a.token == b.token && std::bit_cast<std::uint32_t>(a.logprob) == std::bit_cast<std::uint32_t>(b.logprob);
      };
      EXPECT_TRUE(same(one[i].logprobs[k].chosen, other[i].logprobs[k].chosen));
      EXPECT_TRUE(std::ranges::equal(one[i].logprobs[k].top, other[i].logprobs[k].top, same));
    }
  }
}

/// Parametrised by the quant_policy of the cache.
class Drafting : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
    plain_ = start(0);
    drafting_ = start(8);
  }
  static std::unique_ptr<Runtime> start(std::uint32_t draft_tokens, const std::string& pool = "128MiB") {
    Overrides overrides;
    overrides.model = real_model();
    overrides.quant_policy = GetParam();
    overrides.cache_size_limit = pool;
    // Small chunks, so that prompts end beside others that decode.
    const std::string yaml =
        chain_topology("cache_size_limit: 128MiB", 16, 512,
                       "prefill_chunk: 64, admission: eager, draft_tokens: " + std::to_string(draft_tokens));
    auto runtime = Runtime::start(yaml, "drafting.yaml", overrides);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }
  static Request greedy(const std::string& prompt) {
    Request request = greedy_request(prompt, kAnswerTokens);
    request.params.ignore_eos = false;
    return request;
  }
  static std::vector<Answer> answers(Runtime& runtime, const std::vector<Request>& requests, bool together) {
    EventLog log;
    const auto client = runtime.connect(log.handler());
    std::vector<RequestId> ids;
    for (const Request& request : requests) {
      ids.push_back(client->submit(request)->id);
      if (!together) log.wait(ids.back());
    }
    std::vector<Answer> all;
    all.reserve(ids.size());
    for (const RequestId id : ids) all.push_back(log.wait(id).events);
    EXPECT_EQ(log.violations(), 0);
    return all;
  }
  /// Asks both runtimes, alone and side by side. At least so many steps were saved while they were asked one by one: as
  /// many guesses were right.
  void expect_the_same(const std::vector<Request>& requests, std::uint64_t saved) {
    const std::vector<Answer> expected = answers(*plain_, requests, false);
    const std::vector<Answer> alone = answers(*drafting_, requests, false);
    EXPECT_GE(plain_->stats().steps, drafting_->stats().steps + saved);
    const std::vector<Answer> together = answers(*drafting_, requests, true);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE("request " + std::to_string(i));
      expect_same(expected[i], alone[i]);
      expect_same(expected[i], together[i]);
    }
  }

  std::unique_ptr<Runtime> plain_, drafting_;
};

TEST_P(Drafting, LeavesGreedyAnswersAsTheyAre) {
  expect_the_same(
      {greedy(edit("average")), greedy(edit("middle")), greedy("Once upon a time"), greedy(edit("mean_of"))}, 100);
}

TEST_P(Drafting, LeavesSampledAnswersAsTheyAre) {
  std::vector<Request> requests;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Request request = greedy(edit("average"));
    request.params.temperature = seed % 2 == 0 ? 0.3F : 0.8F;
    request.params.top_p = seed > 2 ? 0.9F : 1.0F;
    request.params.seed = seed;
    requests.push_back(request);
  }
  expect_the_same(requests, 20);
}

TEST_P(Drafting, LeavesLogProbabilitiesPenaltiesAndBiasesAsTheyAre) {
  Request scored = greedy(edit("average"));
  scored.params.logprobs = 3;
  Request asked = scored;
  asked.params.prompt_logprobs = 1;
  Request punished = scored;
  punished.params.repetition_penalty = 1.05F;
  punished.params.frequency_penalty = 0.1F;
  punished.params.presence_penalty = 0.1F;
  punished.params.temperature = 0.5F;
  punished.params.seed = 3;
  Request biased = scored;
  biased.params.logit_bias = {{28, 2.0F}, {198, -1.0F}};
  biased.params.min_tokens = 40;
  expect_the_same({scored, asked, punished, biased}, 60);
}

TEST_P(Drafting, EndsAnswersWhereTheyEndWithoutIt) {
  std::vector<Request> requests;
  for (std::uint32_t n = 1; n <= 14; ++n) {
    Request request = greedy(edit("average"));
    request.params.max_tokens = 20 + n;
    requests.push_back(request);
  }
  for (const char* stop : {"return", "item.", " in items:\n", "count", "result +", "\n\n"}) {
    Request request = greedy(edit("average"));
    request.params.stop = {stop};
    requests.push_back(request);
    request.params.min_tokens = 30;
    requests.push_back(request);
  }
  expect_the_same(requests, 100);
}

/// All at once in a pool that is too small for them.
TEST_P(Drafting, LeavesAnswersAsTheyAreWhereSequencesArePreempted) {
  const std::string policy = GetParam();
  const char* const pool = policy == "0" ? "24MiB" : policy == "8" ? "13MiB" : policy == "4" ? "7MiB" : "10MiB";
  std::vector<Request> requests;
  requests.reserve(8);
  for (int i = 0; i < 8; ++i) requests.push_back(greedy(std::to_string(i) + edit("average")));
  const std::vector<Answer> expected = answers(*plain_, requests, false);
  const auto small = start(8, pool);
  const std::vector<Answer> together = answers(*small, requests, true);
  for (std::size_t i = 0; i < requests.size(); ++i) expect_same(expected[i], together[i]);
  EXPECT_GT(small->stats().preemptions, 0U);
}

INSTANTIATE_TEST_SUITE_P(Policies, Drafting, testing::Values("0", "8", "4", "k8v4"),
                         [](const auto& test) { return std::string("Kv") + test.param; });

}  // namespace
}  // namespace headwater::test
