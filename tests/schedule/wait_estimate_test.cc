#include "schedule/wait_estimate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace headwater::schedule {
namespace {

constexpr ServingLimits kFour{.max_batch_size = 4,
                              .max_step_tokens = 100,
                              .prefill_chunk = 100,
                              .mixed_prefill_tokens = 100,
                              .kv_tokens = 1'000'000};

EntryResult result(RequestId id, std::uint32_t computed, bool sampled = false) {
  EntryResult result;
  result.id = id;
  result.computed = computed;
  if (sampled) result.sampled.resize(1);
  return result;
}

SequenceStart start(const RequestPtr& request) {
  SequenceStart start;
  start.request = request;
  start.tokens = std::get<std::vector<TokenId>>(request->request.prompt);
  return start;
}

/// An estimate that knows what steps cost: 10 ms, and 1 ms for each prompt token.
class WaitEstimateTest : public ::testing::Test {
 protected:
  void learn() {
    for (int i = 0; i < 400; ++i) {
      StepResult step;
      step.duration = i % 2 == 0 ? 10'000'000 : 110'000'000;
      step.entries.push_back(result(1'000'000, i % 2 == 0 ? 1U : 100U));
      if (i % 8 < 4) step.entries.push_back(result(1'000'001, 1));
      estimate.on_step(step);
    }
  }
  static Request request(std::size_t prompt, std::uint32_t answer, std::uint32_t timeout_ms = 0,
                         const std::string& tenant = "") {
    Request request;
    request.prompt = std::vector<TokenId>(prompt, 1);
    request.params.max_tokens = answer;
    request.params.ignore_eos = true;
    request.timeout_ms = timeout_ms;
    request.tenant = tenant;
    return request;
  }
  RequestPtr enter(Request one) {
    auto admitted = std::make_shared<AdmittedRequest>();
    admitted->id = next_id++;
    admitted->request = std::move(one);
    estimate.enter(admitted, 0);
    return admitted;
  }
  /// The prompt is computed, and the first token is there.
  void decode(const RequestPtr& request) {
    StepResult step;
    step.starts.push_back(start(request));
    step.entries.push_back(result(request->id, static_cast<std::uint32_t>(step.starts[0].tokens.size()), true));
    estimate.on_step(step);  // of no duration: says nothing of costs
  }

  WaitEstimate estimate{kFour};
  RequestId next_id = 1;
};

TEST_F(WaitEstimateTest, TakesEverythingBeforeItKnowsAnything) {
  enter(request(100'000, 1000));
  EXPECT_FALSE(estimate.judge(request(1'000'000, 10, 1), 0.001).refusal);
  EXPECT_EQ(estimate.backlog(), 0);
}

TEST_F(WaitEstimateTest, TakesEverythingWhereNothingIsUnderWay) {
  learn();
  EXPECT_FALSE(estimate.judge(request(1'000'000, 10, 1), 0.001).refusal)
      << "so that what was measured is measured anew";
}

TEST_F(WaitEstimateTest, ForeseesPromptAndAnswer) {
  learn();
  const Forecast forecast = estimate.forecast(request(1000, 51));
  EXPECT_EQ(forecast.begin, 0);
  EXPECT_NEAR(forecast.first_token, 1.1, 0.1);
  EXPECT_GT(forecast.finish - forecast.first_token, 0.45);
}

TEST_F(WaitEstimateTest, RefusesWhatCannotKeepItsDeadlineBehindOthers) {
  learn();
  for (int i = 0; i < 8; ++i) enter(request(1000, 2));
  const auto decision = estimate.judge(request(1000, 2, 5000), 0);
  ASSERT_TRUE(decision.refusal);
  EXPECT_TRUE(decision.refusal->deadline);
  EXPECT_NEAR(decision.refusal->finish, 10, 1.5);
  EXPECT_NEAR(decision.refusal->retry, 5, 1.5);
  EXPECT_FALSE(estimate.judge(request(1000, 2, 20'000), 0).refusal);
}

TEST_F(WaitEstimateTest, HoldsTheWaitAgainstTheOperatorsLimitOnceAllPlacesAreTaken) {
  learn();
  for (int i = 0; i < 3; ++i) enter(request(2000, 2));
  EXPECT_FALSE(estimate.judge(request(10, 2), 1).refusal) << "a few long prompts side by side are no queue";
  enter(request(2000, 2));
  const auto decision = estimate.judge(request(10, 2), 1);
  ASSERT_TRUE(decision.refusal);
  EXPECT_FALSE(decision.refusal->deadline);
  EXPECT_GT(decision.refusal->wait, 5);
  EXPECT_GE(decision.refusal->retry, 4);
  EXPECT_FALSE(estimate.judge(request(10, 2), 0).refusal) << "0 is any wait";
}

TEST_F(WaitEstimateTest, WaitsNoLongerSinceABurstTookLongerThanItsFirstWereTold) {
  learn();
  for (int i = 0; i < 4; ++i) enter(request(2000, 2));
  const auto before = estimate.judge(request(10, 2), 1);
  ASSERT_TRUE(before.refusal);
  for (int i = 0; i < 100; ++i) {
    auto burst = std::make_shared<AdmittedRequest>();
    burst->id = next_id++;
    burst->request = request(10, 2);
    estimate.enter(burst, 0.02);
    estimate.leave(burst->id, WaitEstimate::End::finished, 1'000'000'000);
  }
  const auto after = estimate.judge(request(10, 2), 1);
  ASSERT_TRUE(after.refusal);
  EXPECT_EQ(after.refusal->wait, before.refusal->wait);
  EXPECT_GT(after.refusal->finish, 2 * before.refusal->finish) << "ends are foreseen with more caution";
}

TEST_F(WaitEstimateTest, CountsWorkThatIsDoneNoMore) {
  learn();
  const RequestPtr one = enter(request(1000, 100));
  const double before = estimate.backlog();
  EXPECT_NEAR(before, 2.2, 0.4);
  decode(one);
  EXPECT_NEAR(estimate.backlog(), before - 1.1, 0.2);
  estimate.leave(one->id, WaitEstimate::End::finished, 1);
  EXPECT_EQ(estimate.backlog(), 0);
  EXPECT_EQ(estimate.under_way(), 0U);
}

TEST_F(WaitEstimateTest, TakesAStepWithGuessesForAsManyAsItStandsFor) {
  learn();
  const RequestPtr one = enter(request(10, 101));
  decode(one);
  const double before = estimate.backlog();
  StepResult step;
  step.entries.push_back(result(one->id, 5));  // the newest token and four guesses that were right
  step.entries[0].drafted = 7;
  step.entries[0].sampled.resize(5);
  step.duration = 50'000'000;
  for (int i = 0; i < 10; ++i) estimate.on_step(step);
  EXPECT_NEAR(estimate.backlog(), before / 2, before / 20)
      << "half of its answer is there, and steps cost what they did";
}

TEST_F(WaitEstimateTest, LetsATenantWaitForItsOwnFloodOnly) {
  learn();
  for (int i = 0; i < 40; ++i) enter(request(1000, 2, 0, "flood"));
  const Forecast flood = estimate.forecast(request(1000, 2, 0, "flood"));
  const Forecast light = estimate.forecast(request(1000, 2, 0, "light"));
  EXPECT_GT(flood.begin, 30);
  EXPECT_LT(light.begin, 10) << "behind those that may be computed already";
}

TEST_F(WaitEstimateTest, FindsThoseThatCanNoLongerBeInTime) {
  learn();
  const RequestPtr running = enter(request(1000, 2, 3000));
  const RequestPtr waiting = enter(request(1000, 2, 3000));
  const RequestPtr patient = enter(request(1000, 2, 60'000));
  EXPECT_TRUE(estimate.hopeless(0).empty());
  StepResult step;
  step.starts.push_back(start(running));
  estimate.on_step(step);
  EXPECT_EQ(estimate.hopeless(2'500'000'000), std::vector<RequestId>{waiting->id}) << "whoever runs may still end";
}

TEST_F(WaitEstimateTest, TrustsAGuessedLengthOnlyWhereLoadIsTheReason) {
  learn();
  // Answers of requests like this were long: it could not be in time even alone, if it is like them.
  for (int i = 0; i < 50; ++i) {
    Request chat = request(10, 1000);
    chat.params.ignore_eos = false;
    const RequestPtr one = enter(chat);
    decode(one);
    StepResult step;
    for (int token = 0; token < 999; ++token) step.entries.push_back(result(one->id, 1, true));
    step.duration = 0;
    estimate.on_step(step);
    estimate.leave(one->id, WaitEstimate::End::finished, 1);
  }
  decode(enter(request(10, 20)));
  Request chat = request(10, 1000, 5000);
  chat.params.ignore_eos = false;
  EXPECT_FALSE(estimate.judge(chat, 0).refusal) << "this one may be short";
  chat.params.ignore_eos = true;
  EXPECT_TRUE(estimate.judge(chat, 0).refusal) << "this one is not";
}

}  // namespace
}  // namespace headwater::schedule
