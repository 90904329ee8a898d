// Guesses in the scheduler's plans.

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/sample.h"
#include "tests/support/scattered_requests.h"
#include "tests/support/small_schedules.h"

namespace headwater::schedule {
namespace {

using test::expect_all_ended;
using test::sampled;
using test::ServingSimulation;
using test::SimulationOptions;

/// What went on in a simulation, over all plans.
std::size_t drafts_of(const std::vector<StepPlan>& plans, RequestId id) {
  std::size_t n = 0;
  for (const StepPlan& plan : plans) {
    for (const StepEntry& entry : plan.entries) n += entry.id == id && !entry.draft.empty() ? 1 : 0;
  }
  return n;
}

SimulationOptions drafting(std::uint64_t seed) {
  SimulationOptions options;
  options.scheduler = {.max_batch_size = 4,
                       .max_step_tokens = static_cast<std::uint32_t>(8 + seed % 20),
                       .prefill_chunk = static_cast<std::uint32_t>(3 + seed % 8),
                       .mixed_prefill_tokens = 208,
                       .grid = {static_cast<std::uint32_t>(2 + seed % 6), seed % 5 < 2 ? 1U : 0U}};
  options.scheduler.total_blocks = 16;
  options.scheduler.lasting_admission = false;  // so that some are preempted
  options.scheduler.draft_tokens = static_cast<std::uint32_t>(1 + seed % 9);
  options.end_token = 0;
  options.seed = seed;
  options.slow_executor = seed % 4 == 0;
  options.match_threshold = static_cast<double>(seed % 6) / 5;
  return options;
}

/// Answers are those without guesses whoever comes, is cancelled, preempted or fails, in blocks that others never see.
void expect_right_answers(bool tier, bool window) {
  SchedulerCounters all;
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(100, 1000) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = drafting(seed);
    options.tier = tier;
    if (window) {
      options.window = {.tokens = static_cast<std::uint32_t>(1 + seed % 11), .full_bytes = seed % 5, .window_bytes = 5};
      options.window.pool_bytes = 100 + seed % 40;
      options.scheduler.total_blocks = static_cast<std::uint32_t>(
          cache::pool_blocks(options.window, options.scheduler.grid, options.scheduler.max_step_tokens));
      if (options.scheduler.total_blocks < 8) continue;
    }
    ServingSimulation simulation(options);
    scatter(simulation, 20, options.scheduler.grid.begin(options.scheduler.total_blocks), {.prompt = 60, .pause = 90});
    simulation.run();
    expect_all_ended(simulation);
    const SchedulerCounters counters = simulation.scheduler().counters();
    all.drafted += counters.drafted;
    all.accepted += counters.accepted;
    all.preemptions += counters.preemptions;
  }
  EXPECT_GT(all.accepted, sampled(100U, 1000U));
  EXPECT_GT(all.drafted, all.accepted + sampled(20U, 200U));
  EXPECT_GT(all.preemptions, sampled(5U, 50U));
}

TEST(Drafting, LeavesEveryAnswerAsItIs) { expect_right_answers(false, false); }
TEST(Drafting, LeavesEveryAnswerAsItIsWhereBlocksComeFromASlowerTier) { expect_right_answers(true, false); }
TEST(Drafting, LeavesEveryAnswerAsItIsWhereLayersHaveAWindow) { expect_right_answers(true, true); }

SimulationOptions roomy_drafts(std::uint32_t draft_tokens) {
  SimulationOptions options = test::roomy();
  options.scheduler.grid = 16;
  options.scheduler.draft_tokens = draft_tokens;
  return options;
}

TEST(Drafting, TakesFewerStepsForTextThatRepeats) {
  const auto steps = [](std::uint32_t draft_tokens) {
    SimulationOptions options = roomy_drafts(draft_tokens);
    ServingSimulation simulation(options);
    simulation.submit(1, {1, 2, 3, 4}, 200);
    simulation.run();
    expect_all_ended(simulation);
    return simulation.scheduler().counters();
  };
  const SchedulerCounters counters = steps(8);
  EXPECT_GT(counters.accepted, 60U);
  EXPECT_EQ(counters.steps + counters.accepted, 200U);
}

TEST(Drafting, GuessesNothingWhereItIsOff) {
  ServingSimulation simulation(roomy_drafts(0));
  const RequestId id = simulation.submit(1, {1, 2, 3, 4}, 100);
  simulation.run();
  EXPECT_EQ(drafts_of(simulation.plans(), id), 0U);
  EXPECT_EQ(simulation.scheduler().counters().drafted, 0U);
}

TEST(Drafting, GuessesNothingWhileAPromptIsComputedOrManyDecode) {
  SimulationOptions options = roomy_drafts(8);
  options.scheduler.max_batch_size = 12;
  options.scheduler.max_step_tokens = 64;
  options.scheduler.total_blocks = 200;
  ServingSimulation simulation(options);
  for (unsigned i = 0; i < 12; ++i) simulation.submit(i, test::prompt_of(i, 5), 20 + i * 10);
  simulation.run();
  expect_all_ended(simulation);
  std::size_t with_drafts = 0;
  for (const StepPlan& plan : simulation.plans()) {
    const bool guesses = std::ranges::any_of(plan.entries, [](const StepEntry& one) { return !one.draft.empty(); });
    if (!guesses) continue;
    ++with_drafts;
    EXPECT_LE(plan.entries.size(), 8U);
    EXPECT_TRUE(plan.starts.empty());
    EXPECT_TRUE(std::ranges::all_of(plan.entries, [](const StepEntry& one) { return one.count == 1; }));
  }
  EXPECT_GT(with_drafts, 10U);
}

/// A sequence that says one token over and over, in blocks of eight.
class ASequenceThatRepeats : public testing::Test {
 protected:
  ASequenceThatRepeats() {
    auto request = std::make_shared<AdmittedRequest>();
    request->id = 1;
    request->prompt.assign(9, 7);
    request->max_new_tokens = 30;
    scheduler_.add({request, request->prompt, {}, 0});
    plan_ = test::poll_granting(scheduler_, next_).plan.value_or(StepPlan{});
    finish(1);
  }
  static SchedulerOptions options() {
    SchedulerOptions options = test::roomy().scheduler;
    options.grid = 8;
    options.total_blocks = 64;
    options.draft_tokens = 12;
    return options;
  }
  /// The step's result with so many tokens sampled. What comes next is planned.
  SchedulerOutput finish(std::size_t sampled, FinishReason reason = FinishReason::none) {
    StepResult result = test::result_of(plan_);
    EntryResult& entry = result.entries.at(0);
    entry.drafted = static_cast<std::uint32_t>(plan_.entries[0].draft.size());
    entry.sampled.assign(sampled, {7});
    entry.computed += entry.accepted();
    entry.finish = reason;
    scheduler_.on_result(result);
    SchedulerOutput output = test::poll_granting(scheduler_, next_);
    if (output.plan) plan_ = *output.plan;
    return output;
  }
  const StepEntry& entry() const { return plan_.entries.at(0); }

  BlockId next_ = 0;
  Scheduler scheduler_{options()};
  StepPlan plan_;
};

TEST_F(ASequenceThatRepeats, HasGuessesUpToTheEndOfItsBlocks) {
  EXPECT_EQ(entry().first, 9U);
  EXPECT_EQ(entry().draft, std::vector<TokenId>(entry().draft.size(), 7));
  while (entry().first < 28) {
    EXPECT_LE(entry().first + 1 + entry().draft.size(), (entry().first / 8 + 1) * 8);
    const SchedulerOutput output = finish(1 + entry().draft.size());
    for (const FilledBlocks& filled : output.filled) EXPECT_EQ(filled.tokens.size(), filled.blocks.size() * 8);
  }
  EXPECT_GT(scheduler_.counters().accepted, 10U);
}

TEST_F(ASequenceThatRepeats, GoesOnBehindTheFirstGuessThatWasWrong) {
  const std::size_t guesses = entry().draft.size();
  ASSERT_GT(guesses, 1U);
  finish(2);
  EXPECT_EQ(entry().first, 11U);
  EXPECT_EQ(scheduler_.counters().accepted, 1U);
  EXPECT_EQ(scheduler_.counters().drafted, guesses);
}

TEST_F(ASequenceThatRepeats, HasNoGuessesBeyondWhatIsAskedOfIt) {
  while (entry().first < 38) {
    const std::size_t left = 9 + 30 - (entry().first + 1);  // tokens that are still to come
    EXPECT_LT(entry().draft.size(), std::max<std::size_t>(left, 1));
    if (!finish(1 + entry().draft.size(), left <= 1 + entry().draft.size() ? FinishReason::length : FinishReason::none)
             .plan) {
      break;
    }
    if (plan_.entries.empty()) break;
  }
  EXPECT_TRUE(scheduler_.idle() || plan_.entries.empty());
}

TEST_F(ASequenceThatRepeats, IsKeptInTheCacheAsFarAsItsAnswerGoes) {
  ASSERT_GT(entry().draft.size(), 1U);
  const SchedulerOutput output = finish(2, FinishReason::stop);
  ASSERT_EQ(output.released.size(), 1U);
  EXPECT_EQ(output.released[0].tail.size(), 3U);  // 9 of the prompt and 2 of the answer, 8 in the first block
}

TEST_F(ASequenceThatRepeats, EndsWithItsStepWhereItIsCancelledMeanwhile) {
  ASSERT_GT(entry().draft.size(), 1U);
  scheduler_.cancel(1);
  EXPECT_TRUE(test::poll_granting(scheduler_, next_).released.empty());
  const SchedulerOutput output = finish(1);
  ASSERT_EQ(output.released.size(), 1U);
  EXPECT_EQ(output.released[0].tail.size(), 2U);
}

}  // namespace
}  // namespace headwater::schedule
