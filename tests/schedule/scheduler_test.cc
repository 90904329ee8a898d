#include "schedule/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/small_schedules.h"

namespace headwater::schedule {
namespace {

using test::expect_all_ended;
using test::prompt_of;
using test::roomy;
using test::ServingSimulation;

bool has(const StepPlan& plan, RequestId id) {
  return std::ranges::any_of(plan.entries, [&](const StepEntry& entry) { return entry.id == id; });
}

std::vector<RequestId> order_of_starts(const ServingSimulation& simulation) {
  std::vector<RequestId> order;
  for (const StepPlan& plan : simulation.plans()) {
    for (const SequenceStart& start : plan.starts) order.push_back(start.request->id);
  }
  return order;
}

void deliver_until_tokens(ServingSimulation& simulation, RequestId id, std::size_t n) {
  while (simulation.answer(id).size() < n) ASSERT_TRUE(simulation.deliver());
}

TEST(Scheduler, AnswersOneRequest) {
  ServingSimulation simulation(roomy());
  const auto id = simulation.submit(1, prompt_of(1, 10), 7);
  simulation.run();
  EXPECT_EQ(simulation.answer(id).size(), 7U);
  expect_all_ended(simulation);
}

TEST(Scheduler, FillsAStepWithChunksWithinTheLimits) {
  ServingSimulation simulation(roomy());
  for (unsigned i = 0; i < 6; ++i) simulation.submit(i, prompt_of(i, 50), 5);
  simulation.run();
  std::uint32_t most = 0;
  for (const StepPlan& plan : simulation.plans()) {
    std::uint32_t rows = 0;
    EXPECT_LE(plan.entries.size(), 4U);
    for (const StepEntry& entry : plan.entries) {
      EXPECT_LE(entry.count, 12U);
      rows += entry.count;
    }
    EXPECT_LE(rows, 32U);
    most = std::max(most, rows);
  }
  EXPECT_EQ(most, 32U);
  expect_all_ended(simulation);
}

TEST(Scheduler, LetsAllInThatFitIntoOneStep) {
  test::SimulationOptions options = roomy();
  options.slow_executor = true;
  ServingSimulation simulation(options);
  for (unsigned i = 0; i < 4; ++i) simulation.submit(i, prompt_of(i, 6), 5);
  simulation.run();
  // The first comes alone; the others wait for blocks no longer than its step takes.
  EXPECT_EQ(simulation.plans()[0].starts.size() + simulation.plans()[1].starts.size(), 4U);
}

TEST(Scheduler, GivesEveryStreamATokenInEachStepWhileLongPromptsAreComputed) {
  test::SimulationOptions options = roomy();
  options.slow_executor = true;
  options.scheduler.max_step_tokens = 12;  // a chunk would take all of it
  ServingSimulation simulation(options);
  const auto stream = simulation.submit(1, prompt_of(1, 4), 40);
  deliver_until_tokens(simulation, stream, 3);
  const std::size_t before = simulation.plans().size();
  simulation.submit(2, prompt_of(2, 100), 3);
  simulation.submit(3, prompt_of(3, 60), 3);
  simulation.run();
  std::size_t with_stream = 0, tokens = 3;
  for (std::size_t i = before; i < simulation.plans().size() && tokens < 40; ++i, ++tokens) {
    EXPECT_TRUE(has(simulation.plans()[i], stream)) << "plan " << i;
    with_stream += simulation.plans()[i].entries.size() > 1 ? 1 : 0;
  }
  EXPECT_GE(with_stream, 8U);
  expect_all_ended(simulation);
}

TEST(Scheduler, KeepsPromptsShortInStepsInWhichSequencesDecode) {
  test::SimulationOptions options = roomy();
  options.scheduler.mixed_prefill_tokens = 5;
  ServingSimulation simulation(options);
  const auto decoding = simulation.submit(1, prompt_of(1, 3), 40);
  deliver_until_tokens(simulation, decoding, 2);
  const std::size_t before = simulation.plans().size();
  for (unsigned i = 2; i < 4; ++i) simulation.submit(i, prompt_of(i, 24), 5);
  simulation.run();
  std::uint32_t most = 0;
  for (std::size_t step = before; step < simulation.plans().size(); ++step) {
    std::uint32_t prompt_rows = 0;
    for (const StepEntry& entry : simulation.plans()[step].entries) {
      if (entry.count > 1) prompt_rows += entry.count;
    }
    EXPECT_TRUE(!has(simulation.plans()[step], decoding) || prompt_rows <= 5U);
    most = std::max(most, prompt_rows);
  }
  EXPECT_EQ(most, 5U);
  expect_all_ended(simulation);
}

TEST(Scheduler, ScoresInSmallSlicesWhileOthersDecode) {
  test::SimulationOptions options = roomy();
  options.slow_executor = true;
  options.scheduler.max_step_tokens = options.scheduler.prefill_chunk = 1000;
  options.scheduler.mixed_prefill_tokens = 900;
  options.scheduler.total_blocks = 600;
  ServingSimulation simulation(options);
  const auto decoding = simulation.submit(1, prompt_of(1, 3), 30);
  deliver_until_tokens(simulation, decoding, 2);
  const auto scored = simulation.submit(2, prompt_of(2, 1000), 0, "", true);
  const auto also = simulation.submit(3, prompt_of(3, 1000), 0, "", true);
  simulation.run();
  std::uint32_t alone = 0, mixed = 0;
  for (const StepPlan& plan : simulation.plans()) {
    std::uint32_t rows = 0;
    for (const StepEntry& entry : plan.entries) rows += entry.id == scored || entry.id == also ? entry.count : 0;
    std::uint32_t& most = has(plan, decoding) ? mixed : alone;
    most = std::max(most, rows);
  }
  EXPECT_EQ(mixed, 32U);
  EXPECT_EQ(alone, 256U) << "as much as fits where nobody waits";
  EXPECT_EQ(simulation.ending(scored).times, 1U);
  expect_all_ended(simulation);
}

TEST(Scheduler, LetsConnectionsTakeTurnsAndKeepsTheOrderWithinEach) {
  test::SimulationOptions options = roomy();
  options.scheduler.max_batch_size = 1;
  options.slow_executor = true;  // all are in the queue before the first step ends
  ServingSimulation simulation(options);
  for (unsigned i = 0; i < 6; ++i) simulation.submit(1, prompt_of(i, 8), 2);  // 1 … 6
  simulation.submit(2, prompt_of(50, 8), 2);                                  // 7
  simulation.submit(2, prompt_of(51, 8), 2);                                  // 8
  simulation.submit(3, prompt_of(52, 8), 2);                                  // 9
  simulation.run();
  EXPECT_EQ(order_of_starts(simulation), (std::vector<RequestId>{1, 2, 7, 9, 3, 8, 4, 5, 6}));
  expect_all_ended(simulation);
}

TEST(Scheduler, StopsACancelledSequenceWithTheStepInFlight) {
  ServingSimulation simulation(roomy());
  const auto id = simulation.submit(1, prompt_of(1, 8), 200);
  deliver_until_tokens(simulation, id, 5);
  simulation.scheduler().cancel(id);
  const std::size_t before = simulation.plans().size();
  while (simulation.deliver()) {
  }
  for (std::size_t i = before; i < simulation.plans().size(); ++i) EXPECT_FALSE(has(simulation.plans()[i], id));
  EXPECT_EQ(simulation.plans().back().retired, std::vector<RequestId>{id});
  EXPECT_TRUE(simulation.plans().back().entries.empty());
  EXPECT_TRUE(simulation.scheduler().idle());
  EXPECT_EQ(simulation.cache().counts().active, 0U);
  EXPECT_EQ(simulation.executor_sequences(), 0U);
}

TEST(Scheduler, ScoresAPromptWithoutSampling) {
  ServingSimulation simulation(roomy());
  const auto id = simulation.submit(1, prompt_of(1, 30), 0, "", true);
  simulation.run();
  for (const StepPlan& plan : simulation.plans()) {
    for (const StepEntry& entry : plan.entries) EXPECT_FALSE(entry.sample);
  }
  EXPECT_TRUE(simulation.answer(id).empty());
  EXPECT_EQ(simulation.computed_rows(), 30U);
  expect_all_ended(simulation);
}

TEST(Scheduler, ReusesABlockOfARequestThatStillRuns) {
  ServingSimulation simulation(roomy());
  const auto first = simulation.submit(1, prompt_of(1, 20), 30);
  deliver_until_tokens(simulation, first, 6);
  const auto second = simulation.submit(2, prompt_of(1, 20), 30);
  simulation.run();
  EXPECT_EQ(simulation.ending(second).cached_tokens, 16U);
  EXPECT_EQ(simulation.answer(first), simulation.answer(second));
}

TEST(Scheduler, ComputesAPrefixOnceForRequestsThatArriveTogether) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    test::SimulationOptions options = roomy();
    options.seed = seed;
    ServingSimulation simulation(options);
    for (TokenId i = 0; i < 4; ++i) {
      auto prompt = prompt_of(1, 40);
      prompt.push_back(i);
      simulation.submit(static_cast<ConnectionId>(i), prompt, 1);
    }
    simulation.run();
    EXPECT_EQ(simulation.computed_rows(), 40U + 4U) << "seed " << seed;
    expect_all_ended(simulation);
  }
}

TEST(Scheduler, LetsTenantsAndScoringComputeForThemselves) {
  ServingSimulation simulation(roomy());
  simulation.submit(1, prompt_of(1, 40), 1, "a");
  simulation.submit(2, prompt_of(1, 40), 1, "b");
  simulation.submit(3, prompt_of(1, 40), 1, "a", true);
  simulation.run();
  EXPECT_EQ(simulation.computed_rows(), 3 * 40U);
  expect_all_ended(simulation);
}

TEST(Scheduler, PreemptsTheNewestAndLetsTheOldestGoOn) {
  test::SimulationOptions options = roomy();
  options.scheduler.total_blocks = 14;
  options.scheduler.lasting_admission = false;
  ServingSimulation simulation(options);
  for (unsigned i = 0; i < 5; ++i) simulation.submit(i, prompt_of(i, 10), 35);
  simulation.run();
  EXPECT_GT(simulation.scheduler().counters().preemptions, 0U);
  std::size_t starts_of_oldest = 0;
  for (RequestId id : order_of_starts(simulation)) starts_of_oldest += id == 1 ? 1 : 0;
  EXPECT_EQ(starts_of_oldest, 1U);
  expect_all_ended(simulation);
}

TEST(Scheduler, LetsNobodyBackInBeforeSomebodyEnds) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    test::SimulationOptions options = roomy();
    options.seed = seed;
    options.scheduler.total_blocks = 16;
    options.scheduler.lasting_admission = false;
    ServingSimulation simulation(options);
    for (unsigned i = 0; i < 8; ++i) simulation.submit(i, prompt_of(i, 8), 50);
    simulation.run();
    std::map<RequestId, std::size_t> starts_left;
    for (RequestId id : order_of_starts(simulation)) ++starts_left[id];
    bool starved = false;
    for (const StepPlan& plan : simulation.plans()) {
      const auto preempted = [&](RequestId id) { return starts_left[id] > 0; };
      if (!std::ranges::all_of(plan.retired, preempted)) starved = false;  // one has ended
      if (std::ranges::any_of(plan.retired, preempted)) starved = true;
      EXPECT_FALSE(starved && !plan.starts.empty()) << "seed " << seed << ", step " << plan.step;
      for (const SequenceStart& start : plan.starts) --starts_left[start.request->id];
    }
    EXPECT_GT(simulation.scheduler().counters().preemptions, 0U);
    expect_all_ended(simulation);
  }
}

/// Three sequences that run, each with one full block, and the plan that fills it.
struct ThreeThatNeedBlocks {
  Scheduler scheduler{roomy().scheduler};
  StepPlan plan;

  ThreeThatNeedBlocks() {
    for (RequestId id = 1; id <= 3; ++id) {
      auto request = std::make_shared<AdmittedRequest>();
      request->id = id;
      request->prompt = prompt_of(static_cast<unsigned>(id), 4);
      request->max_new_tokens = 9;
      scheduler.add({request, request->prompt, {}, 0});
    }
    EXPECT_EQ(scheduler.poll(1).demand, 3U);
    scheduler.on_grant(std::vector<BlockId>{0, 1, 2}, 3);
    SchedulerOutput output = scheduler.poll(2);
    EXPECT_EQ(output.demand, 3U);
    plan = output.plan.value();
  }
  void finish_step() {
    StepResult result;
    result.step = plan.step;
    for (const StepEntry& entry : plan.entries) {
      EntryResult& one = result.entries.emplace_back();
      one.id = entry.id;
      one.computed = entry.count;
      one.sampled = {{7}};
    }
    scheduler.on_result(result);
  }
};

TEST(Scheduler, PreemptsWhenADemandHasBroughtNothing) {
  ThreeThatNeedBlocks three;
  three.scheduler.on_grant({}, 3);
  three.scheduler.poll(3);
  three.finish_step();
  const SchedulerOutput output = three.scheduler.poll(4);
  EXPECT_EQ(three.scheduler.counters().preemptions, 2U);
  ASSERT_EQ(output.released.size(), 2U);
  EXPECT_EQ(output.released[0].id, 3U);
  EXPECT_EQ(output.released[1].id, 2U);
  EXPECT_EQ(output.plan->retired, (std::vector<RequestId>{3, 2}));
}

TEST(Scheduler, PreemptsNobodyWhenBlocksWereReleasedSinceTheRefusal) {
  ThreeThatNeedBlocks three;
  three.scheduler.on_grant({}, 3);
  three.scheduler.poll(3);
  three.scheduler.cancel(3);
  three.finish_step();
  const SchedulerOutput output = three.scheduler.poll(4);
  EXPECT_EQ(output.released.size(), 1U);
  EXPECT_EQ(output.demand, 2U);
  EXPECT_EQ(three.scheduler.counters().preemptions, 0U);
}

TEST(Scheduler, PreemptsNobodyWhenTheRefusalIsOlderThanARelease) {
  ThreeThatNeedBlocks three;
  three.scheduler.cancel(3);
  three.finish_step();
  EXPECT_EQ(three.scheduler.poll(3).released.size(), 1U);
  three.scheduler.on_grant({}, 3);  // the answer to the demand before
  EXPECT_EQ(three.scheduler.poll(4).demand, 2U);
  EXPECT_EQ(three.scheduler.counters().preemptions, 0U);
}

TEST(Scheduler, PreemptsHardlyAnybodyWhileThePoolHasRoomInTheCache) {
  std::uint64_t preemptions = 0;
  for (unsigned seed = 1; seed <= 50; ++seed) {
    test::SimulationOptions options = roomy();
    options.seed = seed;
    options.scheduler.total_blocks = 4 * 5;  // four sequences at a time, and nothing over
    ServingSimulation simulation(options);
    for (unsigned i = 0; i < 24; ++i) simulation.submit(i % 3, prompt_of(i, 10), 10);
    simulation.run();
    preemptions += simulation.scheduler().counters().preemptions;
    expect_all_ended(simulation);
  }
  EXPECT_LE(preemptions, 4U);  // a release that takes longer than a demand and its answer together costs one
}

TEST(Scheduler, IgnoresResultsThatAreNotOfTheStepInFlight) {
  Scheduler scheduler(roomy().scheduler);
  auto request = std::make_shared<AdmittedRequest>();
  request->id = 1;
  request->prompt = {1, 2, 3};
  request->max_new_tokens = 2;
  scheduler.add({request, request->prompt, {}, 0});
  EXPECT_EQ(scheduler.poll(1).demand, 1U);
  scheduler.on_grant(std::vector<BlockId>{5}, 1);
  const auto plan = scheduler.poll(2).plan;
  ASSERT_TRUE(plan.has_value());
  StepResult stray;
  stray.epoch = plan->epoch + 1;
  stray.step = plan->step;
  scheduler.on_result(stray);
  stray.epoch = plan->epoch;
  stray.step = plan->step + 1;
  scheduler.on_result(stray);
  EXPECT_FALSE(scheduler.idle());
  EXPECT_FALSE(scheduler.poll(3).plan.has_value());
}

TEST(Scheduler, AsksAgainAfterAShortGrant) {
  Scheduler scheduler(roomy().scheduler);
  auto request = std::make_shared<AdmittedRequest>();
  request->id = 1;
  request->prompt = prompt_of(1, 12);
  request->max_new_tokens = 2;
  scheduler.add({request, request->prompt, {}, 0});
  EXPECT_EQ(scheduler.poll(1).demand, 3U);
  scheduler.on_grant(std::vector<BlockId>{0, 1}, 3);
  const SchedulerOutput output = scheduler.poll(2);
  EXPECT_EQ(output.demand, 1U);
  EXPECT_FALSE(output.plan.has_value());
}

TEST(Scheduler, ReturnsBlocksThatNobodyNeedsAnyMore) {
  Scheduler scheduler(roomy().scheduler);
  auto request = std::make_shared<AdmittedRequest>();
  request->id = 1;
  request->prompt = {1, 2, 3};
  request->max_new_tokens = 2;
  scheduler.add({request, request->prompt, {}, 0});
  EXPECT_EQ(scheduler.poll(1).demand, 1U);
  scheduler.cancel(1);
  EXPECT_TRUE(scheduler.poll(2).returned.empty());
  scheduler.on_grant(std::vector<BlockId>{5}, 1);
  EXPECT_EQ(scheduler.poll(3).returned, std::vector<BlockId>{5});
  EXPECT_TRUE(scheduler.idle());
}

TEST(Scheduler, ForgetsEverythingAtAReset) {
  ServingSimulation simulation(roomy());
  simulation.submit(1, prompt_of(1, 10), 50);
  for (int i = 0; i < 20; ++i) simulation.deliver();
  simulation.scheduler().reset(7);
  EXPECT_TRUE(simulation.scheduler().idle());
  EXPECT_TRUE(simulation.scheduler().poll(1).empty());
}

}  // namespace
}  // namespace headwater::schedule
