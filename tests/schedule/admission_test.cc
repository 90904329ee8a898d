// Who is let in where the pool is the limit, in virtual time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/support/tight_pool.h"

namespace headwater::test {
namespace {

struct Load {
  const char* name;
  double prompt = 300, answer = 300;
  double spread = 0.8;  ///< of a lognormal distribution; 0: all are alike
  double allowed = 4;   ///< max_tokens, of the mean; 0: none is named
  std::uint32_t shared = 0;
  bool ignore_eos = false;
  std::size_t clients = 32, requests = 6;
  double sequences = 8;  ///< of the mean that the pool holds
};
constexpr Load kLoads[] = {
    {.name = "Spread"},
    {.name = "WideSpread", .spread = 1.2},
    {.name = "WithoutMaxTokens", .allowed = 0},
    {.name = "ToTheEnd", .spread = 0, .allowed = 1},
    {.name = "ToACertainEnd", .allowed = 1, .ignore_eos = true},
    {.name = "LongPrompts", .prompt = 1500, .answer = 100},
    {.name = "SharedPrefix", .prompt = 1500, .answer = 100, .shared = 1024},
    {.name = "LongAnswers", .prompt = 50, .answer = 700},
    {.name = "FewSequences", .clients = 12, .sequences = 3},
};

void PrintTo(const Load& load, std::ostream* out) { *out << load.name; }

TightPool::Options options_for(const Load& load, bool lasting) {
  TightPool::Options options;
  options.scheduler.total_blocks =
      static_cast<std::uint32_t>(load.sequences * std::ceil((load.prompt + load.answer) / 32));
  options.scheduler.lasting_admission = lasting;
  options.context = std::min(4096U, options.scheduler.total_blocks * 32);
  return options;
}

std::vector<std::deque<Ask>> asks(const Load& load, std::uint32_t context, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> factor(-load.spread * load.spread / 2, std::max(load.spread, 1e-9));
  std::vector<std::deque<Ask>> clients(load.clients);
  for (auto& client : clients) {
    for (std::size_t i = 0; i < load.requests; ++i) {
      Ask ask{.shared = load.shared, .ignore_eos = load.ignore_eos};
      ask.prompt =
          static_cast<std::uint32_t>(std::clamp(load.prompt * factor(random), load.shared + 8.0, 0.6 * context));
      const std::uint32_t room = context - ask.prompt;
      const auto answer = static_cast<std::uint32_t>(std::clamp<double>(load.answer * factor(random), 1, room));
      const auto most = static_cast<std::uint32_t>(std::min<double>(load.answer * load.allowed, room));
      ask.answer = load.ignore_eos || load.allowed == 0 ? answer : std::min(answer, most);
      if (load.allowed > 0) ask.max_tokens = load.ignore_eos ? answer : most;
      client.push_back(ask);
    }
  }
  return clients;
}

class LastingAdmission : public ::testing::TestWithParam<Load> {};

TEST_P(LastingAdmission, PreemptsHardlyAnybodyAndLosesNoSpeed) {
  std::uint64_t eager = 0, lasting = 0;
  double eager_rate = 0, lasting_rate = 0;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    for (const bool lasts : {false, true}) {
      const TightPool::Options options = options_for(GetParam(), lasts);
      TightPool pool(options);
      pool.run(asks(GetParam(), options.context, seed));
      EXPECT_TRUE(pool.all_answered());
      (lasts ? lasting : eager) += pool.preemptions();
      (lasts ? lasting_rate : eager_rate) += pool.tokens_per_second();
    }
  }
  EXPECT_LE(lasting, GetParam().spread > 0 && !GetParam().ignore_eos ? eager / 7 : eager / 10) << "of " << eager;
  EXPECT_GE(lasting_rate, 0.95 * eager_rate);
  if (GetParam().ignore_eos) {
    EXPECT_EQ(lasting, 0U) << "how long they get is known";
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, LastingAdmission, ::testing::ValuesIn(kLoads),
                         [](const auto& load) { return std::string(load.param.name); });

TEST(Admission, GetsThroughWhereThePoolHoldsOneSequenceAndNoMore) {
  for (std::uint32_t tokens = 64; tokens <= 96; ++tokens) {
    TightPool::Options options;
    options.scheduler.total_blocks = 3;
    options.scheduler.grid = {32, tokens % 2 == 0 ? 16U : 0U};
    const std::uint32_t most = options.scheduler.grid.begin(3);
    const Ask ask{.prompt = 40, .answer = std::min(tokens, most) - 40 + 1, .max_tokens = most - 40 + 1};
    TightPool pool(options);
    pool.run({4, std::deque<Ask>(3, ask)});
    EXPECT_TRUE(pool.all_answered());
    EXPECT_EQ(pool.preemptions(), 0U);
  }
}

TEST(Admission, LetsMoreInAsSoonAsAnswersTurnOutShort) {
  TightPool::Options options;
  options.context = 8192;
  options.scheduler.total_blocks = 512;  // two of the longest, sixteen thousand tokens
  TightPool pool(options);
  pool.run({40, std::deque<Ask>(8, Ask{.prompt = 100, .answer = 60})});
  EXPECT_TRUE(pool.all_answered());
  EXPECT_EQ(pool.preemptions(), 0U);
  const std::vector<std::size_t>& batches = pool.batches();
  EXPECT_LT(batches[30], 10U) << "nothing is known yet";
  EXPECT_EQ(*std::max_element(batches.begin(), batches.end()), 40U) << "all fit";
  EXPECT_GE(batches[batches.size() / 2], 30U);
}

/// A short one could be squeezed in beside the two that run; whose turn it is needs more than they leave.
TEST(Admission, LetsNobodyOvertakeWhoeverWaitsForRoom) {
  TightPool::Options options;
  options.scheduler.total_blocks = 20;
  const auto to_the_end = [](std::uint32_t prompt, std::uint32_t answer) {
    return std::deque<Ask>{{.prompt = prompt, .answer = answer, .max_tokens = answer, .ignore_eos = true}};
  };
  TightPool pool(options);
  pool.run({to_the_end(200, 50), to_the_end(200, 50), to_the_end(300, 100), to_the_end(20, 5)});
  EXPECT_TRUE(pool.all_answered());
  EXPECT_EQ(pool.starts(), (std::vector<RequestId>{1, 2, 3, 4}));
  EXPECT_EQ(pool.preemptions(), 0U);
  EXPECT_EQ(pool.batches()[20], 2U) << "the third waits, and the fourth behind it";
}

}  // namespace
}  // namespace headwater::test
