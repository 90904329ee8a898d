#include "schedule/step_runner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/fake_model.h"

namespace headwater::schedule {
namespace {

using test::FakeModel;

constexpr std::uint32_t kVocab = 128;
constexpr TokenId kEnd = 5;

RequestPtr request(RequestId id, std::vector<TokenId> prompt, std::uint32_t n) {
  auto made = std::make_shared<AdmittedRequest>();
  made->id = id;
  made->prompt = std::move(prompt);
  made->max_new_tokens = n;
  made->request.params.temperature = 0;
  return made;
}

class StepRunnerTest : public testing::Test {
 protected:
  StepPlan plan_for(const RequestPtr& request, std::vector<BlockId> blocks, std::vector<TokenId> tokens = {}) {
    if (tokens.empty()) tokens = request->prompt;
    StepPlan plan;
    const auto n = static_cast<std::uint32_t>(tokens.size());
    plan.starts.push_back({request, std::move(tokens), std::move(blocks), 0, 0});
    plan.entries.push_back({request->id, 0, n, true, {}});
    return plan;
  }

  FakeModel model_{kVocab, 64};
  StepRunner runner_{model_, {kEnd}, 8, 4, [] { return TimeNs{0}; }};
};

TEST_F(StepRunnerTest, ComputesAPromptAndThenATokenAtATime) {
  const auto one = request(1, {10, 11, 12}, 4);
  std::vector<TokenId> generated;
  auto result = runner_.run(plan_for(one, {6}));
  ASSERT_EQ(result.entries.size(), 1U);
  EXPECT_EQ(result.rows, 3U);
  EXPECT_EQ(result.starts.size(), 1U);
  generated.push_back(result.entries[0].sampled.at(0).token);
  for (std::uint32_t i = 0; i < 3; ++i) {
    StepPlan plan;
    plan.entries.push_back({1, 3 + i, 1, true, i == 1 ? std::vector<BlockId>{2} : std::vector<BlockId>{}});
    result = runner_.run(plan);
    generated.push_back(result.entries[0].sampled.at(0).token);
    EXPECT_EQ(result.entries[0].finish, i == 2 ? FinishReason::length : FinishReason::none);
  }
  EXPECT_EQ(generated, FakeModel::answer({10, 11, 12}, 4));
}

TEST_F(StepRunnerTest, GoesOnAfterAPreemptionAsIfNothingHadHappened) {
  const auto whole = FakeModel::answer({10, 11, 12}, 5);
  const auto one = request(1, {10, 11, 12}, 5);
  runner_.run(plan_for(one, {0}));
  StepPlan again = plan_for(one, {3, 4}, {10, 11, 12, whole[0], whole[1]});
  again.retired = {1};
  const auto result = runner_.run(again);
  EXPECT_EQ(result.entries[0].sampled.at(0).token, whole[2]);
  EXPECT_EQ(result.entries[0].finish, FinishReason::none);
  EXPECT_EQ(result.retired, std::vector<RequestId>{1});
}

TEST_F(StepRunnerTest, ScoresAPromptWhoseTokensItGoesThroughInChunks) {
  auto scored = std::make_shared<AdmittedRequest>(*request(1, {10, 11, 12, 13, 14}, 0));
  scored->request.params.prompt_logprobs = 2;
  StepPlan plan = plan_for(scored, {0, 1});
  plan.entries[0].count = 3;
  plan.entries[0].sample = false;
  const auto head = runner_.run(plan);
  EXPECT_EQ(head.entries[0].prompt_logprobs.size(), 3U);
  EXPECT_EQ(head.entries[0].finish, FinishReason::none);
  StepPlan rest;
  rest.entries.push_back({1, 3, 2, false, {}});
  const auto tail = runner_.run(rest);
  ASSERT_EQ(tail.entries[0].prompt_logprobs.size(), 1U);
  EXPECT_EQ(tail.entries[0].prompt_logprobs[0].second.size(), 2U);
  EXPECT_EQ(tail.entries[0].finish, FinishReason::length);
  EXPECT_TRUE(tail.entries[0].sampled.empty());
}

TEST_F(StepRunnerTest, ThrowsForAPlanThatDoesNotFit) {
  StepPlan unknown;
  unknown.entries.push_back({7, 0, 1, true, {}});
  EXPECT_THROW(runner_.run(unknown), std::logic_error);
  StepPlan beyond = plan_for(request(1, {1, 2}, 3), {0});
  beyond.entries[0].count = 3;
  EXPECT_THROW(runner_.run(beyond), std::logic_error);
  StepPlan homeless = plan_for(request(2, {1, 2, 3, 4, 5}, 3), {0});
  EXPECT_THROW(runner_.run(homeless), std::logic_error);
}

/// A sequence whose prompt is computed, and what follows.
class StepRunnerWithADraft : public StepRunnerTest {
 protected:
  /// A step that computes the newest token and checks guesses.
  EntryResult check(std::vector<TokenId> draft) {
    StepPlan plan;
    plan.entries.push_back({1, first_, 1, true, {}, std::move(draft)});
    const StepResult result = runner_.run(std::move(plan));
    first_ += result.entries[0].computed;
    return result.entries[0];
  }
  static std::vector<TokenId> tokens(const EntryResult& result) {
    std::vector<TokenId> ids;
    ids.reserve(result.sampled.size());
    for (const SampledToken& sampled : result.sampled) ids.push_back(sampled.token);
    return ids;
  }
  void begin(std::uint32_t max_new, SamplingParams params = {}) {
    auto made = std::make_shared<AdmittedRequest>(*request(1, {10, 11, 12}, max_new));
    params.temperature = 0;
    made->request.params = std::move(params);
    EXPECT_EQ(runner_.run(plan_for(made, {6, 2, 3})).entries[0].sampled.at(0).token, answer_[0]);
  }

  std::uint32_t first_ = 3;
  std::vector<TokenId> answer_ = FakeModel::answer({10, 11, 12}, 9);
  std::vector<std::pair<TokenId, float>> expected_;  ///< tokens and log-probabilities
};

TEST_F(StepRunnerWithADraft, KeepsTheGuessesThatAreRightAndGoesOnWhereTheyEnd) {
  begin(9);
  const EntryResult some = check({answer_[1], answer_[2], 1, answer_[4]});
  EXPECT_EQ(tokens(some), (std::vector<TokenId>{answer_[1], answer_[2], answer_[3]}));
  EXPECT_EQ(some.computed, 3U);
  EXPECT_EQ(some.drafted, 4U);
  EXPECT_EQ(some.accepted(), 2U);
  EXPECT_EQ(some.given(), 1U);
  EXPECT_EQ(some.finish, FinishReason::none);
  EXPECT_EQ(tokens(check({1})), std::vector<TokenId>{answer_[4]});
  EXPECT_EQ(tokens(check({answer_[5]})), (std::vector<TokenId>{answer_[5], answer_[6]}));
  EXPECT_EQ(tokens(check({})), std::vector<TokenId>{answer_[7]});
}

TEST_F(StepRunnerWithADraft, EndsWhereTheAnswerEndsAndKeepsNothingBehind) {
  begin(3);
  const EntryResult ended = check({answer_[1], answer_[2], answer_[3], answer_[4]});
  EXPECT_EQ(tokens(ended), (std::vector<TokenId>{answer_[1], answer_[2]}));
  EXPECT_EQ(ended.finish, FinishReason::length);
  EXPECT_EQ(ended.computed, 2U);  // the last token is no input
}

TEST_F(StepRunnerWithADraft, EndsAtAnEndTokenAmongTheGuesses) {
  SamplingParams params;
  params.stop_token_ids = {answer_[2]};
  begin(9, params);
  const EntryResult ended = check({answer_[1], answer_[2], answer_[3]});
  EXPECT_EQ(tokens(ended), (std::vector<TokenId>{answer_[1], answer_[2]}));
  EXPECT_EQ(ended.finish, FinishReason::stop);
}

TEST_F(StepRunnerWithADraft, ChoosesLaterTokensUnderThePenaltiesOfEarlierOnes) {
  SamplingParams params;
  params.frequency_penalty = 2;
  params.presence_penalty = 2;
  params.repetition_penalty = 1.5F;
  params.logprobs = 2;
  const auto answers = [&](bool guesses) {
    StepRunner runner(model_, {kEnd}, 8, 4, [] { return TimeNs{0}; });
    auto made = std::make_shared<AdmittedRequest>(*request(1, {10, 11, 12}, 9));
    made->request.params = params;
    made->seed = 17;
    std::vector<std::pair<TokenId, float>> all;
    StepResult result = runner.run(plan_for(made, {6, 2, 3}));
    std::uint32_t first = 3;
    while (true) {
      for (const SampledToken& one : result.entries[0].sampled) {
        EXPECT_EQ(one.top.size(), 2U);
        all.emplace_back(one.token, one.logprob);
      }
      if (result.entries[0].finish != FinishReason::none) return all;
      StepPlan plan;
      plan.entries.push_back({1, first, 1, true, {}});
      // The model sees nothing but its tokens, so what it gave without guesses is what is right.
      for (std::size_t i = all.size(); guesses && i < expected_.size() && i < all.size() + 3; ++i) {
        plan.entries[0].draft.push_back(expected_[i].first);
      }
      result = runner.run(std::move(plan));
      first += result.entries[0].computed;
    }
  };
  expected_ = answers(false);
  EXPECT_EQ(answers(true), expected_);
}

TEST_F(StepRunnerWithADraft, ThrowsForGuessesThatHaveNoPlaceOrDoNotComeNext) {
  begin(9);
  StepPlan homeless;
  homeless.entries.push_back({1, 3, 1, true, {}, std::vector<TokenId>(9, 1)});
  EXPECT_THROW(runner_.run(homeless), std::logic_error);
  StepPlan elsewhere;
  elsewhere.entries.push_back({1, 2, 1, true, {}, {1}});
  EXPECT_THROW(runner_.run(elsewhere), std::logic_error);
  StepPlan unasked;
  unasked.entries.push_back({1, 3, 1, false, {}, {1}});
  EXPECT_THROW(runner_.run(unasked), std::logic_error);
}

/// Blocks of four tokens, of which the first of a sequence holds two.
class StepRunnerOfAShortFirstBlock : public StepRunnerTest {
 protected:
  static kernels::KvFormat format() {
    kernels::KvFormat format{4, 4};
    format.first_in_8_bits = true;
    return format;
  }
  StepRunner halved_{model_, {kEnd}, 8, 4, [] { return TimeNs{0}; }, format()};
};

TEST_F(StepRunnerOfAShortFirstBlock, ComputesAsManyTokensAsTheBlocksHold) {
  const std::vector<TokenId> six = {10, 11, 12, 13, 14, 15};
  EXPECT_EQ(halved_.run(plan_for(request(1, six, 3), {6, 2})).entries[0].sampled.at(0).token, FakeModel::next(six));
  StepPlan homeless;
  homeless.entries.push_back({1, 6, 1, true, {}});
  EXPECT_THROW(halved_.run(homeless), std::logic_error);
  EXPECT_EQ(halved_.run(plan_for(request(2, {7, 8}, 1), {0})).entries[0].sampled.at(0).token,
            FakeModel::next(std::vector<TokenId>{7, 8}));
  EXPECT_THROW(halved_.run(plan_for(request(3, {7, 8, 9}, 1), {1})), std::logic_error);
}

TEST_F(StepRunnerOfAShortFirstBlock, GoesOnInACopyOfABlockInTheSamePlace) {
  const std::vector<TokenId> first = {10, 11, 12, 13, 14};
  halved_.run(plan_for(request(1, first, 1), {0, 1}));
  std::vector<TokenId> other = {10, 60, 61};
  StepPlan plan = plan_for(request(2, other, 1), {4, 5});
  plan.starts[0].copy = BlockCopy{0, 4};
  plan.entries[0].first = 1;
  plan.entries[0].count = 2;
  EXPECT_EQ(halved_.run(plan).entries[0].sampled.at(0).token, FakeModel::next(other));
  other = {10, 11, 12, 60};
  plan = plan_for(request(3, other, 1), {0, 5});
  plan.starts[0].copy = BlockCopy{1, 5};
  plan.entries[0].first = 3;
  plan.entries[0].count = 1;
  EXPECT_EQ(halved_.run(plan).entries[0].sampled.at(0).token, FakeModel::next(other));
}

/// Gives NaN to the sequences whose first token is 1.
class BrokenModel : public FakeModel {
 public:
  using FakeModel::FakeModel;
  std::span<float> forward(const model::Batch& batch) override {
    const std::span<float> logits = FakeModel::forward(batch);
    for (std::size_t i = 0; i < batch.logit_rows.size(); ++i) {
      if (batch.tokens[batch.logit_rows[i]] == 1) logits[i * kVocab] = std::numeric_limits<float>::quiet_NaN();
    }
    return logits;
  }
};

TEST(StepRunner, FailsTheSequenceWithoutUsableLogitsAndNoOther) {
  BrokenModel model(kVocab, 64);
  StepRunner runner(model, {kEnd}, 8, 4, [] { return TimeNs{0}; });
  const auto sick = request(1, {1}, 3);
  const auto sound = request(2, {9}, 3);
  StepPlan plan;
  plan.starts = {{sick, sick->prompt, {0}, 0, 0}, {sound, sound->prompt, {1}, 0, 0}};
  plan.entries = {{1, 0, 1, true, {}}, {2, 0, 1, true, {}}};
  const auto result = runner.run(plan);
  EXPECT_NE(result.entries[0].error.find("position"), std::string::npos);
  EXPECT_TRUE(result.entries[1].error.empty());
  EXPECT_EQ(result.entries[1].sampled.at(0).token, FakeModel::next(std::vector<TokenId>{9}));
}

TEST(StepRunner, FailsASequenceWhereItsOwnLogitsAreOfNoUseAndNotForAWrongGuess) {
  BrokenModel model(kVocab, 64);
  StepRunner runner(model, {kEnd}, 8, 4, [] { return TimeNs{0}; });
  const auto one = request(2, {9}, 6);
  StepPlan plan;
  plan.starts = {{one, one->prompt, {1, 2}, 0, 0}};
  plan.entries = {{2, 0, 1, true, {}}};
  runner.run(plan);
  StepPlan guess;
  guess.entries = {{2, 1, 1, true, {}, {1}}};
  const StepResult result = runner.run(guess);
  EXPECT_TRUE(result.entries[0].error.empty());
  EXPECT_EQ(result.entries[0].sampled.size(), 1U);
}

TEST(FinishReason, IsStopAtAnEndTokenAndLengthAtTheLimit) {
  AdmittedRequest admitted;
  admitted.max_new_tokens = 10;
  const TokenId ends[] = {kEnd};
  EXPECT_EQ(finish_reason(admitted, 3, 1, ends), FinishReason::none);
  EXPECT_EQ(finish_reason(admitted, kEnd, 1, ends), FinishReason::stop);
  EXPECT_EQ(finish_reason(admitted, 3, 10, ends), FinishReason::length);
  admitted.request.params.ignore_eos = true;
  EXPECT_EQ(finish_reason(admitted, kEnd, 1, ends), FinishReason::none);
  admitted.request.params.stop_token_ids = {3};
  EXPECT_EQ(finish_reason(admitted, 3, 1, ends), FinishReason::stop);
  admitted.request.params.min_tokens = 2;
  EXPECT_EQ(finish_reason(admitted, 3, 2, ends), FinishReason::none);
  EXPECT_EQ(finish_reason(admitted, 3, 3, ends), FinishReason::stop);
}

}  // namespace
}  // namespace headwater::schedule
