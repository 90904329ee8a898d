// What the scheduler plans where the first block of a sequence holds half as many tokens as the others.

#include <gtest/gtest.h>

#include "schedule/scheduler.h"
#include "tests/support/small_schedules.h"

namespace headwater::schedule {
namespace {

using test::prompt_of;

/// Blocks of four tokens: 0 … 1, 2 … 5, 6 … 9.
SchedulerOptions halved() {
  SchedulerOptions options = test::roomy().scheduler;
  options.grid = {4, 2};
  return options;
}

class FirstBlock : public testing::Test {
 protected:
  static RequestPtr request_of(RequestId id, const std::vector<TokenId>& prompt) {
    auto request = std::make_shared<AdmittedRequest>();
    request->id = id;
    request->prompt = prompt;
    request->max_new_tokens = 5;
    return request;
  }
  std::uint32_t demand_for(std::size_t prompt) {
    Scheduler scheduler(halved());
    const auto tokens = prompt_of(1, prompt);
    scheduler.add({request_of(1, tokens), tokens, {}, 0});
    return scheduler.poll(1).demand;
  }
  /// The next plan, with whatever blocks it takes.
  StepPlan plan() {
    SchedulerOutput output = test::poll_granting(scheduler_, next_block_);
    EXPECT_TRUE(output.plan.has_value());
    return output.plan.value_or(StepPlan{});
  }
  SchedulerOutput finish(const StepPlan& plan) {
    scheduler_.on_result(test::result_of(plan));
    return scheduler_.poll(1);
  }

  Scheduler scheduler_{halved()};
  BlockId next_block_ = 20;
};

TEST_F(FirstBlock, CountsWithTheTokensThatItHoldsWhereBlocksAreAskedFor) {
  EXPECT_EQ(demand_for(1), 1U);
  EXPECT_EQ(demand_for(2), 1U);
  EXPECT_EQ(demand_for(3), 2U);
  EXPECT_EQ(demand_for(6), 2U);
  EXPECT_EQ(demand_for(7), 3U);
}

TEST_F(FirstBlock, IsPublishedAsSoonAsItIsFull) {
  const auto prompt = prompt_of(1, 7);
  scheduler_.add({request_of(1, prompt), prompt, {}, 0});
  const StepPlan first = plan();
  ASSERT_EQ(first.starts.at(0).blocks.size(), 3U);
  const SchedulerOutput after = finish(first);
  ASSERT_EQ(after.filled.size(), 1U);
  EXPECT_EQ(after.filled[0].blocks.size(), 2U);
  EXPECT_EQ(after.filled[0].tokens, std::vector<TokenId>(prompt.begin(), prompt.begin() + 6));
  scheduler_.cancel(1);
  const SchedulerOutput released = scheduler_.poll(1);
  ASSERT_EQ(released.released.size(), 1U);
  EXPECT_EQ(released.released[0].tail, std::vector<TokenId>{prompt[6]});
}

TEST_F(FirstBlock, LeavesATailWhereASequenceEndsWithinIt) {
  const auto prompt = prompt_of(1, 1);
  scheduler_.add({request_of(1, prompt), prompt, {}, 0});
  const StepPlan first = plan();
  scheduler_.cancel(1);
  const SchedulerOutput after = finish(first);
  EXPECT_TRUE(after.filled.empty());
  ASSERT_EQ(after.released.size(), 1U);
  EXPECT_EQ(after.released[0].tail, prompt);
}

TEST_F(FirstBlock, IsCopiedToTheFirstPlaceWhereItAgreesInPart) {
  const auto prompt = prompt_of(1, 9);
  scheduler_.add({request_of(1, prompt), prompt, {5}, 1, {1, CacheSource::memory, CacheMiss::never_seen, 7}});
  const StepPlan first = plan();
  const SequenceStart& start = first.starts.at(0);
  const BlockCopy copy = start.copy.value_or(BlockCopy{});
  EXPECT_EQ(copy.from, 5);
  EXPECT_EQ(copy.to, start.blocks.at(0));
  EXPECT_EQ(start.blocks.size(), 3U);
  EXPECT_EQ(first.entries.at(0).first, 1U);
}

TEST_F(FirstBlock, IsReadWhereItAgreesWholeAndTheSecondIsCopied) {
  const auto prompt = prompt_of(1, 9);
  scheduler_.add({request_of(1, prompt), prompt, {5, 6}, 4, {2, CacheSource::memory, CacheMiss::never_seen, 4}});
  const StepPlan first = plan();
  const SequenceStart& start = first.starts.at(0);
  const BlockCopy copy = start.copy.value_or(BlockCopy{});
  EXPECT_EQ(start.blocks.at(0), 5);
  EXPECT_EQ(copy.to, start.blocks.at(1));
  const PrefixCounters prefix = scheduler_.counters().prefix;
  EXPECT_EQ(prefix.query_blocks, 2U);
  EXPECT_EQ(prefix.hit_blocks, 1U);
  EXPECT_EQ(prefix.hit_tokens, 4U);
}

TEST_F(FirstBlock, IsRestoredFromATier) {
  const auto prompt = prompt_of(1, 9);
  const std::vector<cache::BlockBytes> bytes(2, std::make_shared<cache::ByteBuffer>(1));
  scheduler_.add({request_of(1, prompt), prompt, {}, 0, {}, bytes});
  const StepPlan first = plan();
  const SequenceStart& start = first.starts.at(0);
  EXPECT_EQ(start.blocks.size(), 3U);
  ASSERT_EQ(start.restores.size(), 2U);
  EXPECT_EQ(start.restores[0].block, start.blocks[0]);
  EXPECT_EQ(start.cached_tokens, 6U);
  EXPECT_EQ(first.entries.at(0).first, 6U);
  const SchedulerOutput after = finish(first);
  ASSERT_EQ(after.filled.size(), 1U);
  EXPECT_EQ(after.filled[0].tokens, std::vector<TokenId>(prompt.begin(), prompt.begin() + 6));
}

TEST_F(FirstBlock, IsAwaitedByASequenceThatBeginsWithItAlone) {
  const auto prompt = prompt_of(1, 9);
  auto other = prompt_of(2, 9);
  other[0] = prompt[0];
  other[1] = prompt[1];
  scheduler_.add({request_of(1, prompt), prompt, {}, 0});
  scheduler_.add({request_of(2, other), other, {}, 0});
  const StepPlan first = plan();
  EXPECT_EQ(first.starts.size(), 1U);
  const SchedulerOutput after = finish(first);
  ASSERT_EQ(after.rematch.size(), 1U);
  EXPECT_EQ(after.rematch[0].request->id, 2U);
}

}  // namespace
}  // namespace headwater::schedule
