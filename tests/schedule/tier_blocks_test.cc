// Blocks that a step reads out for a slower tier, or gets from there.

#include <gtest/gtest.h>

#include "schedule/prefill_speed.h"
#include "schedule/scheduler.h"
#include "schedule/step_runner.h"
#include "tests/support/fake_model.h"
#include "tests/support/small_schedules.h"

namespace headwater::schedule {
namespace {

using test::FakeModel;
using test::prompt_of;

RequestPtr request_of(RequestId id, const std::vector<TokenId>& prompt) {
  auto request = std::make_shared<AdmittedRequest>();
  request->id = id;
  request->prompt = prompt;
  request->max_new_tokens = 5;
  request->request.params.temperature = 0;
  return request;
}

std::vector<cache::BlockBytes> bytes_of(std::size_t blocks) {
  return std::vector<cache::BlockBytes>(blocks, std::make_shared<cache::ByteBuffer>(1));
}

/// Blocks of four tokens.
class TierBlocks : public testing::Test {
 protected:
  /// Grants whatever is asked for.
  SchedulerOutput poll() { return test::poll_granting(scheduler_, next_block_); }
  SchedulerOutput finish(const StepPlan& plan) {
    scheduler_.on_result(test::result_of(plan));
    return scheduler_.poll(1);
  }

  Scheduler scheduler_{test::roomy().scheduler};
  BlockId next_block_ = 20;
  std::vector<TokenId> prompt_ = prompt_of(1, 15);
};

TEST_F(TierBlocks, AreRestoredIntoBlocksOfTheSequencesOwnAndPublishedAfterTheStep) {
  scheduler_.add({request_of(1, prompt_), prompt_, {5}, 4, {}, bytes_of(2)});
  const auto plan = poll().plan;
  ASSERT_TRUE(plan.has_value());
  const SequenceStart& start = plan->starts.at(0);
  EXPECT_EQ(start.blocks.size(), 4U);
  EXPECT_EQ(start.blocks[0], 5);
  ASSERT_EQ(start.restores.size(), 2U);
  EXPECT_EQ(start.restores[0].block, start.blocks[1]);
  EXPECT_EQ(start.restores[1].block, start.blocks[2]);
  EXPECT_EQ(start.cached_tokens, 12U);
  EXPECT_EQ(plan->entries.at(0).first, 12U);
  EXPECT_EQ(plan->entries.at(0).count, 3U);

  const SchedulerOutput after = finish(*plan);
  ASSERT_EQ(after.filled.size(), 1U);
  EXPECT_EQ(after.filled[0].blocks, std::vector<BlockId>(start.blocks.begin() + 1, start.blocks.begin() + 3));
  EXPECT_EQ(after.filled[0].tokens, std::vector<TokenId>(prompt_.begin() + 4, prompt_.begin() + 12));
}

TEST_F(TierBlocks, AreDroppedWithARequestThatIsCancelledBeforeItsFirstStep) {
  scheduler_.add({request_of(1, prompt_), prompt_, {5}, 4, {}, bytes_of(2)});
  scheduler_.cancel(1);
  const SchedulerOutput output = scheduler_.poll(1);
  ASSERT_EQ(output.released.size(), 1U);
  EXPECT_EQ(output.released[0].blocks, std::vector<BlockId>{5});
  EXPECT_TRUE(output.released[0].tail.empty()) << "nothing has been computed";
  EXPECT_TRUE(scheduler_.idle());
}

TEST_F(TierBlocks, AreRestoredByOneOfTwoThatBeginAlikeAndReadByTheOther) {
  scheduler_.add({request_of(1, prompt_), prompt_, {}, 0, {}, bytes_of(3)});
  scheduler_.add({request_of(2, prompt_), prompt_, {}, 0, {}, bytes_of(3)});
  const auto plan = poll().plan;
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->starts.size(), 1U);
  const SchedulerOutput after = finish(*plan);
  ASSERT_EQ(after.rematch.size(), 1U);
  EXPECT_EQ(after.rematch[0].request->id, 2U);
}

TEST_F(TierBlocks, AreReadOutByThePlanThatFollowsTheirGrant) {
  scheduler_.on_grant({}, 0, {{7, {}}, {8, {}}, {9, {}}, {10, {}}, {11, {}}});
  const auto plan = scheduler_.poll(1).plan;
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->saves.size(), 5U);
  EXPECT_FALSE(finish(*plan).plan.has_value());
}

TEST_F(TierBlocks, AreReadOutAFewAtATimeUnlessTheyAreGranted) {
  std::vector<BlockSave> saves;
  for (BlockId block = 0; block < 12; ++block) saves.push_back({block, {}});
  scheduler_.save(saves);
  auto plan = scheduler_.poll(1).plan;
  ASSERT_TRUE(plan.has_value());
  const std::size_t few = plan->saves.size();
  EXPECT_LT(few, 8U);
  scheduler_.on_grant(std::vector<BlockId>{11, 30}, 2);
  plan = finish(*plan).plan;
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->saves.front().block, 11);
  std::size_t read_out = few;
  while (plan) {
    read_out += plan->saves.size();
    plan = finish(*plan).plan;
  }
  EXPECT_EQ(read_out, 12U);
}

TEST(StepRunner, WritesBackWhatItHasReadOut) {
  for (const bool short_first : {false, true}) {
    kernels::KvFormat format{4, 4};
    format.first_in_8_bits = short_first;
    const std::uint32_t restored = kernels::block_grid(format, 4).begin(2);
    FakeModel model(100, 64);
    StepRunner runner(
        model, {}, 8, 4, [] { return TimeNs{0}; }, format);
    const std::vector<TokenId> prompt = prompt_of(3, 9);
    std::vector<TokenId> tokens;
    for (TokenId token : prompt) tokens.push_back(token % 90);
    StepPlan plan;
    plan.starts.push_back({request_of(1, tokens), tokens, {0, 1, 2}, 0, 1});
    plan.entries.push_back({1, 0, 9, true, {}});
    const TokenId cold = runner.run(plan).entries.at(0).sampled.at(0).token;

    auto saved = runner.save({{0, {}}, {1, {}}});
    ASSERT_EQ(saved.size(), 2U);
    StepPlan second;
    second.starts.push_back({request_of(2, tokens), tokens, {5, 6, 7}, restored, 1});
    second.starts.back().restores = {{5, saved[0].bytes}, {6, saved[1].bytes}};
    second.entries.push_back({2, restored, 9 - restored, true, {}});
    const StepResult result = runner.run(second);
    EXPECT_EQ(result.entries.at(0).sampled.at(0).token, cold);
    EXPECT_TRUE(result.starts.at(0).restores.empty()) << "results carry no bytes";
  }
}

TEST(PrefillSpeed, IsThatOfStepsThatComputePrompts) {
  PrefillSpeed speed;
  EXPECT_EQ(speed.tokens_per_second(), 0);
  StepResult step;
  step.duration = 1'000'000;
  step.rows = 8;
  speed.add(step);
  EXPECT_EQ(speed.tokens_per_second(), 0) << "decoding says nothing";
  step.rows = 200;
  step.duration = 100'000'000;
  speed.add(step);
  EXPECT_NEAR(speed.tokens_per_second(), 2000, 1);
  step.starts.emplace_back().details.source = CacheSource::disk;
  step.duration *= 10;
  speed.add(step);
  EXPECT_NEAR(speed.tokens_per_second(), 2000, 1);
  step.starts.clear();
  step.duration = 50'000'000;
  for (int i = 0; i < 100; ++i) speed.add(step);
  EXPECT_NEAR(speed.tokens_per_second(), 4000, 1);
}

}  // namespace
}  // namespace headwater::schedule
