// Sequences whose cached tokens end within a block, and what they leave behind.

#include <gtest/gtest.h>

#include <algorithm>

#include "schedule/scheduler.h"
#include "tests/support/small_schedules.h"

namespace headwater::schedule {
namespace {

using test::expect_all_ended;
using test::prompt_of;
using test::result_of;
using test::roomy;
using test::ServingSimulation;

TEST(PartialBlocks, AreCopiedAndTheRestIsComputed) {
  ServingSimulation simulation(roomy());
  auto prompt = prompt_of(1, 11);
  simulation.submit(1, prompt, 4);  // 14 tokens are computed: three blocks, and two tokens of a fourth
  simulation.run();
  const auto& answer = simulation.answer(1);
  prompt.insert(prompt.end(), answer.begin(), answer.end());
  prompt.push_back(7);
  const std::uint64_t before = simulation.computed_rows();
  const auto second = simulation.submit(1, prompt, 1);
  simulation.run();
  EXPECT_EQ(simulation.ending(second).cached_tokens, 14U);
  EXPECT_EQ(simulation.ending(second).details, (CacheDetails{2, CacheSource::memory, CacheMiss::never_seen, 1}));
  EXPECT_EQ(simulation.computed_rows() - before, 2U);
  EXPECT_EQ(simulation.copies(), 1U);
  const auto& plans = simulation.plans();
  const auto plan = std::ranges::find_if(
      plans, [&](const StepPlan& one) { return !one.starts.empty() && one.starts[0].request->id == second; });
  const SequenceStart& start = plan->starts[0];
  ASSERT_TRUE(start.copy.has_value());
  EXPECT_EQ(start.copy->to, start.blocks.at(3));
  EXPECT_NE(start.copy->from, start.copy->to);
  expect_all_ended(simulation);
}

/// A sequence with one whole block and two tokens of another in a block of the cache's.
class BorrowsABlock {
 public:
  explicit BorrowsABlock(std::uint32_t prompt = 12, std::uint32_t total_blocks = 4) : scheduler(options(total_blocks)) {
    request->id = 1;
    request->prompt = prompt_of(1, prompt);
    request->max_new_tokens = 5;
    scheduler.add({request, request->prompt, {5, 6}, 6, {2, CacheSource::memory, CacheMiss::never_seen, prompt - 7}});
  }
  static SchedulerOptions options(std::uint32_t total_blocks) {
    SchedulerOptions options = roomy().scheduler;
    options.total_blocks = total_blocks;
    return options;
  }

  std::shared_ptr<AdmittedRequest> request = std::make_shared<AdmittedRequest>();
  Scheduler scheduler;
};

TEST(PartialBlocks, AreHeldUntilTheStepThatCopiesThemIsDone) {
  BorrowsABlock one;
  EXPECT_EQ(one.scheduler.poll(1).demand, 2U);
  one.scheduler.on_grant(std::vector<BlockId>{7, 8}, 2);
  const SchedulerOutput planned = one.scheduler.poll(2);
  ASSERT_TRUE(planned.plan.has_value());
  const SequenceStart& start = planned.plan->starts.at(0);
  EXPECT_EQ(start.blocks.size(), 3U);
  EXPECT_EQ(start.blocks[0], 5);
  EXPECT_EQ(start.copy->from, 6);
  EXPECT_EQ(start.copy->to, start.blocks[1]);
  EXPECT_EQ(planned.plan->entries.at(0).first, 6U);
  EXPECT_TRUE(planned.copied.empty());
  one.scheduler.cancel(1);
  EXPECT_TRUE(one.scheduler.poll(3).copied.empty());
  one.scheduler.on_result(result_of(*planned.plan));
  const SchedulerOutput after = one.scheduler.poll(4);
  EXPECT_EQ(after.copied, std::vector<BlockId>{6});
  ASSERT_EQ(after.released.size(), 1U);
  EXPECT_EQ(after.released[0].blocks, start.blocks);
  EXPECT_TRUE(after.released[0].tail.empty());
}

TEST(PartialBlocks, AreGivenBackByASequenceThatIsCancelledBefore) {
  BorrowsABlock one;
  one.scheduler.cancel(1);
  const SchedulerOutput output = one.scheduler.poll(1);
  ASSERT_EQ(output.released.size(), 1U);
  EXPECT_EQ(output.released[0].blocks, (std::vector<BlockId>{5, 6}));
  EXPECT_TRUE(output.released[0].tail.empty());
  EXPECT_TRUE(output.copied.empty());
}

TEST(PartialBlocks, AreDoneWithoutWhereThereIsNoRoomForTheCopy) {
  BorrowsABlock one;
  one.scheduler.poll(1);
  one.scheduler.on_grant(std::vector<BlockId>{7}, 2);
  EXPECT_EQ(one.scheduler.poll(2).demand, 1U);
  one.scheduler.on_grant({}, 1);
  const SchedulerOutput output = one.scheduler.poll(3);
  EXPECT_EQ(output.copied, std::vector<BlockId>{6});
  EXPECT_EQ(output.demand, 1U);
  one.scheduler.on_grant(std::vector<BlockId>{6}, 1);
  const SchedulerOutput planned = one.scheduler.poll(4);
  ASSERT_TRUE(planned.plan.has_value());
  EXPECT_FALSE(planned.plan->starts.at(0).copy.has_value());
  EXPECT_EQ(planned.plan->starts.at(0).cached_tokens, 4U);
  EXPECT_EQ(planned.plan->starts.at(0).details, (CacheDetails{0, CacheSource::memory, CacheMiss::no_room, 7}));
  EXPECT_EQ(one.scheduler.counters().prefix.copied_tokens, 0U);
  EXPECT_EQ(planned.plan->entries.at(0).first, 4U);
}

/// No grant or result is on its way, whose arrival would have it planned.
TEST(PartialBlocks, AreDoneWithoutAndPlannedAtOnceWhereTheFirstChunkHasRoomThen) {
  BorrowsABlock one(20, 8);
  EXPECT_EQ(one.scheduler.poll(1).demand, 4U);  // 12 tokens from the seventh on
  one.scheduler.on_grant(std::vector<BlockId>{7, 8, 9}, 4);
  EXPECT_EQ(one.scheduler.poll(2).demand, 1U);
  one.scheduler.on_grant({}, 1);
  const SchedulerOutput output = one.scheduler.poll(3);
  EXPECT_EQ(output.copied, std::vector<BlockId>{6});
  const StepPlan plan = output.plan.value_or(StepPlan{});
  ASSERT_EQ(plan.starts.size(), 1U);
  EXPECT_FALSE(plan.starts[0].copy.has_value());
  EXPECT_EQ(plan.entries.at(0).first, 4U);
  EXPECT_EQ(plan.entries.at(0).count, 12U);
}

TEST(PartialBlocks, TellTheTailOfWhatHasEnded) {
  BorrowsABlock one;
  one.scheduler.poll(1);
  one.scheduler.on_grant(std::vector<BlockId>{7, 8}, 2);
  StepResult result = result_of(*one.scheduler.poll(2).plan);
  result.entries[0].sampled = {{3}};
  one.scheduler.on_result(result);
  one.scheduler.poll(3);
  one.scheduler.on_grant(std::vector<BlockId>{9}, 1);
  result = result_of(*one.scheduler.poll(4).plan);
  result.entries[0].sampled.resize(1);
  result.entries[0].finish = FinishReason::stop;
  one.scheduler.on_result(result);
  const SchedulerOutput output = one.scheduler.poll(5);
  ASSERT_EQ(output.released.size(), 1U);
  EXPECT_EQ(output.released[0].blocks.size(), 4U);
  EXPECT_EQ(output.released[0].tail, std::vector<TokenId>{3});
}

TEST(PartialBlocks, TellNoTailOfWhatHasFailed) {
  BorrowsABlock one;
  one.request->prompt.push_back(1);
  one.scheduler.poll(1);
  one.scheduler.on_grant(std::vector<BlockId>{7, 8, 9}, 2);
  StepResult result = result_of(*one.scheduler.poll(2).plan);
  result.entries[0].computed = 5;
  result.entries[0].error = "bad logits";
  one.scheduler.on_result(result);
  const SchedulerOutput output = one.scheduler.poll(3);
  ASSERT_EQ(output.released.size(), 1U);
  EXPECT_TRUE(output.released[0].tail.empty());
  EXPECT_TRUE(output.filled.empty());
}

}  // namespace
}  // namespace headwater::schedule
