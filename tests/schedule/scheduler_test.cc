#include "schedule/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/pump.h"

namespace headwater::schedule {
namespace {

using test::Pump;

constexpr SchedulerOptions kSmall{
    .max_batch_size = 4, .max_step_tokens = 32, .prefill_chunk = 12, .block_tokens = 4, .total_blocks = 64};

std::vector<TokenId> prompt_of(unsigned seed, std::size_t n) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 1000);
  return tokens;
}

std::vector<TokenId> expected(std::vector<TokenId> prompt, std::uint32_t n) {
  const std::size_t begin = prompt.size();
  while (prompt.size() < begin + n) prompt.push_back(Pump::next(prompt));
  return {prompt.begin() + static_cast<std::ptrdiff_t>(begin), prompt.end()};
}

void expect_settled(Pump& pump) {
  EXPECT_TRUE(pump.scheduler().idle());
  EXPECT_EQ(pump.cache().check(), "");
  EXPECT_EQ(pump.cache().counts().active, 0U);
}

TEST(Scheduler, AnswersOneRequest) {
  Pump pump(kSmall, 1);
  const auto id = pump.submit(1, prompt_of(1, 10), 7);
  pump.run();
  EXPECT_EQ(pump.answer(id), expected(prompt_of(1, 10), 7));
  expect_settled(pump);
}

TEST(Scheduler, CutsPromptsIntoChunksWithinTheLimits) {
  Pump pump(kSmall, 1);
  for (unsigned i = 0; i < 6; ++i) pump.submit(i, prompt_of(i, 50), 5);
  pump.run();
  for (const StepPlan& plan : pump.plans()) {
    std::uint32_t rows = 0;
    EXPECT_LE(plan.entries.size(), kSmall.max_batch_size);
    for (const StepEntry& entry : plan.entries) {
      EXPECT_LE(entry.count, kSmall.prefill_chunk);
      rows += entry.count;
    }
    EXPECT_LE(rows, kSmall.max_step_tokens);
  }
  expect_settled(pump);
}

TEST(Scheduler, GivesEveryRunningStreamATokenInEachStepWhileALongPromptIsComputed) {
  Pump pump(kSmall, 1);
  const auto stream = pump.submit(1, prompt_of(1, 4), 40);
  while (pump.answer(stream).size() < 5) ASSERT_TRUE(pump.turn());
  const std::size_t before = pump.plans().size();
  const auto long_one = pump.submit(2, prompt_of(2, 100), 3);
  pump.run();
  std::size_t mixed = 0;
  for (std::size_t i = before; i < pump.plans().size(); ++i) {
    const auto& entries = pump.plans()[i].entries;
    const auto has = [&](RequestId id) {
      return std::ranges::any_of(entries, [&](const auto& e) { return e.id == id; });
    };
    if (has(long_one) && !has(stream)) {
      EXPECT_EQ(pump.answer(stream).size(), 40U);  // only after the stream has ended
    }
    mixed += has(long_one) && has(stream) ? 1 : 0;
  }
  EXPECT_GE(mixed, 8U);
}

TEST(Scheduler, LetsConnectionsTakeTurns) {
  SchedulerOptions one_at_a_time = kSmall;
  one_at_a_time.max_batch_size = 1;
  Pump pump(one_at_a_time, 1);
  std::vector<RequestId> greedy;
  for (unsigned i = 0; i < 10; ++i) greedy.push_back(pump.submit(1, prompt_of(i, 8), 2));
  const auto modest = pump.submit(2, prompt_of(50, 8), 2);
  pump.run();
  std::vector<RequestId> order;
  for (const StepPlan& plan : pump.plans()) {
    for (const SequenceStart& start : plan.starts) order.push_back(start.request->id);
  }
  const auto place = std::ranges::find(order, modest) - order.begin();
  EXPECT_LE(place, 3);
  EXPECT_EQ(order.front(), greedy.front());
}

TEST(Scheduler, StopsACancelledSequenceWithinOneStep) {
  Pump pump(kSmall, 1);
  const auto id = pump.submit(1, prompt_of(1, 8), 200);
  while (pump.answer(id).size() < 5) ASSERT_TRUE(pump.turn());
  pump.cancel(id);
  const std::size_t before = pump.answer(id).size();
  pump.run();
  EXPECT_LE(pump.answer(id).size(), before + 3);  // the step in flight, and those planned before the cancel arrived
  EXPECT_EQ(std::ranges::count(pump.plans().back().retired, id), 1);
  expect_settled(pump);
}

TEST(Scheduler, ScoresAPromptWithoutSampling) {
  Pump pump(kSmall, 1);
  const auto id = pump.submit(1, prompt_of(1, 30), 0);
  pump.run();
  for (const StepPlan& plan : pump.plans()) {
    for (const StepEntry& entry : plan.entries) EXPECT_FALSE(entry.sample);
  }
  EXPECT_TRUE(pump.answer(id).empty());
  EXPECT_EQ(pump.rows, 30U);
  expect_settled(pump);
}

TEST(Scheduler, ReusesABlockAsSoonAsItIsFilledByARequestThatStillRuns) {
  Pump pump(kSmall, 1);
  const auto first = pump.submit(1, prompt_of(1, 20), 30);
  while (pump.answer(first).size() < 6) ASSERT_TRUE(pump.turn());
  const auto second = pump.submit(2, prompt_of(1, 20), 30);
  pump.run();
  EXPECT_EQ(pump.cached_tokens(second), 16U);
  EXPECT_EQ(pump.answer(first), pump.answer(second));
}

TEST(Scheduler, GivesTheRightAnswersInRandomInterleavings) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    SchedulerOptions options = kSmall;
    options.total_blocks = 12 + seed % 20;  // so few that sequences are preempted
    options.max_batch_size = 1 + seed % 6;
    options.prefill_chunk = 1 + seed % 17;
    options.max_step_tokens = 16 + seed % 30;
    Pump pump(options, seed, seed % 5 != 0);
    struct Sent {
      RequestId id;
      std::vector<TokenId> prompt;
      std::uint32_t n;
    };
    std::vector<Sent> sent;
    for (int i = 0; i < 25; ++i) {
      const unsigned kind = pump.random()() % 4;  // prompts that begin alike
      auto prompt = prompt_of(kind, 24);
      prompt.resize(1 + pump.random()() % 24);
      const std::uint32_t n = 1 + pump.random()() % 20;
      sent.push_back({pump.submit(1 + pump.random()() % 3, prompt, n, kind == 3 ? "tenant" : ""), prompt, n});
      if (pump.random()() % 5 == 0) pump.cancel(sent[pump.random()() % sent.size()].id);
      for (unsigned turns = pump.random()() % 60; turns > 0; --turns) pump.turn();
    }
    ASSERT_NO_THROW(pump.run()) << "seed " << seed;
    for (const Sent& request : sent) {
      const auto want = expected(request.prompt, request.n);
      const auto& got = pump.answer(request.id);
      if (pump.was_cancelled(request.id)) {
        ASSERT_TRUE(got.size() <= want.size() && std::equal(got.begin(), got.end(), want.begin())) << "seed " << seed;
      } else {
        ASSERT_EQ(got, want) << "seed " << seed << ", request " << request.id;
      }
    }
    ASSERT_TRUE(pump.scheduler().idle()) << "seed " << seed;
    ASSERT_EQ(pump.cache().counts().active, 0U) << "seed " << seed;
  }
}

TEST(Scheduler, PreemptsWhenBlocksRunOutAndGoesOnWithTheSameTokens) {
  SchedulerOptions options = kSmall;
  options.total_blocks = 14;
  Pump pump(options, 3);
  std::vector<RequestId> ids;
  for (unsigned i = 0; i < 5; ++i) ids.push_back(pump.submit(i, prompt_of(i, 10), 35));
  pump.run();
  EXPECT_GT(pump.scheduler().counters().preemptions, 0U);
  for (unsigned i = 0; i < 5; ++i) EXPECT_EQ(pump.answer(ids[i]), expected(prompt_of(i, 10), 35));
  expect_settled(pump);
}

TEST(Scheduler, ForgetsEverythingAtAReset) {
  Pump pump(kSmall, 1);
  pump.submit(1, prompt_of(1, 10), 50);
  for (int i = 0; i < 20; ++i) pump.turn();
  pump.scheduler().reset(7);
  EXPECT_TRUE(pump.scheduler().idle());
  EXPECT_TRUE(pump.scheduler().poll(1).empty());
}

}  // namespace
}  // namespace headwater::schedule
