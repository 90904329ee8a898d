#include "model/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace headwater::model {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0;
  return params;
}

TokenId pick(const SamplingParams& params, std::vector<float> logits, std::uint64_t position = 0,
             std::uint64_t seed = 1) {
  Sampler sampler(params, seed, {});
  return sampler.sample(logits, position, 0).token;
}

/// How often each token is drawn at 4,000 positions.
std::map<TokenId, int> draws(const SamplingParams& params, const std::vector<float>& logits) {
  std::map<TokenId, int> counts;
  for (std::uint64_t position = 0; position < 4000; ++position) ++counts[pick(params, logits, position)];
  return counts;
}

TEST(Sampler, GreedyTakesTheBestAndOfEqualsTheFirst) {
  EXPECT_EQ(pick(greedy(), {1, 5, 3}), 1);
  EXPECT_EQ(pick(greedy(), {1, 5, 5}), 1);
}

TEST(Sampler, DrawsByProbability) {
  SamplingParams params;
  const auto counts = draws(params, {std::log(0.7F), std::log(0.2F), std::log(0.1F)});
  EXPECT_NEAR(counts.at(0), 2800, 120);
  EXPECT_NEAR(counts.at(1), 800, 100);
  EXPECT_NEAR(counts.at(2), 400, 80);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  SamplingParams params;
  const std::vector<float> logits = {std::log(0.7F), std::log(0.3F)};
  params.temperature = 0.25F;
  EXPECT_GT(draws(params, logits)[0], 3800);
  params.temperature = 4;
  EXPECT_LT(draws(params, logits)[0], 2400);
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits = {std::log(0.5F), std::log(0.3F), std::log(0.15F), std::log(0.05F)};
  const auto tokens = [&](const SamplingParams& params) {
    std::set<TokenId> seen;
    for (const auto& [token, count] : draws(params, logits)) seen.insert(token);
    return seen;
  };
  SamplingParams top_k;
  top_k.top_k = 2;
  EXPECT_EQ(tokens(top_k), (std::set<TokenId>{0, 1}));
  SamplingParams top_p;
  top_p.top_p = 0.9F;
  EXPECT_EQ(tokens(top_p), (std::set<TokenId>{0, 1, 2}));
  SamplingParams tiny_p;
  tiny_p.top_p = 0.01F;
  EXPECT_EQ(tokens(tiny_p), (std::set<TokenId>{0}));
  SamplingParams min_p;
  min_p.min_p = 0.4F;
  EXPECT_EQ(tokens(min_p), (std::set<TokenId>{0, 1}));
}

TEST(Sampler, TheSameSeedAndPositionGiveTheSameToken) {
  const std::vector<float> logits(50, 0.0F);
  SamplingParams params;
  std::set<TokenId> by_position;
  std::set<TokenId> by_seed;
  for (std::uint64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(pick(params, logits, i, 9), pick(params, logits, i, 9));
    by_position.insert(pick(params, logits, i, 9));
    by_seed.insert(pick(params, logits, 3, i));
  }
  EXPECT_GT(by_position.size(), 20U);
  EXPECT_GT(by_seed.size(), 20U);
}

TEST(Sampler, PenaltiesWorkOnWhatWasSeen) {
  SamplingParams params = greedy();
  params.repetition_penalty = 2;
  Sampler repetition(params, 1, {});
  repetition.observe(0, false);
  repetition.observe(2, true);
  std::vector<float> logits = {3, 2, -1, -1.5F};
  EXPECT_EQ(repetition.sample(logits, 0, 0).token, 1);  // 1.5, 2, -2, -1.5
  EXPECT_FLOAT_EQ(logits[2], -2);

  SamplingParams counted = greedy();
  counted.frequency_penalty = 1;
  counted.presence_penalty = 0.5F;
  Sampler frequency(counted, 1, {});
  frequency.observe(0, false);  // the prompt does not count
  frequency.observe(1, true);
  frequency.observe(1, true);
  logits = {1, 3, 0.9F};
  EXPECT_EQ(frequency.sample(logits, 0, 0).token, 0);
  EXPECT_FLOAT_EQ(logits[1], 0.5F);
}

TEST(Sampler, BiasMovesAToken) {
  SamplingParams params = greedy();
  params.logit_bias = {{2, 100.0F}, {0, -100.0F}};
  EXPECT_EQ(pick(params, {5, 1, 0}), 2);
}

TEST(Sampler, HoldsEndTokensBackUntilMinTokens) {
  SamplingParams params = greedy();
  params.min_tokens = 3;
  params.stop_token_ids = {1};
  const TokenId ends[] = {0};
  Sampler sampler(params, 1, ends);
  for (std::uint32_t generated = 0; generated < 5; ++generated) {
    std::vector<float> logits = {9, 8, 1};
    EXPECT_EQ(sampler.sample(logits, generated, generated).token, generated < 3 ? 2 : 0);
  }
}

TEST(Sampler, LogProbabilitiesAreOfTheModelNotOfThePenalties) {
  SamplingParams params = greedy();
  params.logprobs = 2;
  params.logit_bias = {{2, 50.0F}};
  Sampler sampler(params, 1, {});
  std::vector<float> logits = {std::log(0.6F), std::log(0.3F), std::log(0.1F)};
  const Sampled sampled = sampler.sample(logits, 0, 0);
  EXPECT_EQ(sampled.token, 2);
  EXPECT_NEAR(sampled.logprob, std::log(0.1F), 1e-5);
  ASSERT_EQ(sampled.top.size(), 2U);
  EXPECT_EQ(sampled.top[0].first, 0);
  EXPECT_NEAR(sampled.top[0].second, std::log(0.6F), 1e-5);
  EXPECT_EQ(sampled.top[1].first, 1);
}

TEST(Sampler, ReportsLogitsThatAreOfNoUse) {
  const SamplingParams params;
  Sampler sampler(params, 1, {});
  const float inf = std::numeric_limits<float>::infinity();
  for (std::vector<float> logits : {std::vector<float>{1, kNan}, {-inf, -inf}, {inf, 1}}) {
    EXPECT_TRUE(sampler.sample(logits, 0, 0).bad_logits);
  }
  std::vector<float> masked = {-inf, 2};
  EXPECT_EQ(sampler.sample(masked, 0, 0).token, 1);
}

TEST(Sampler, ScoresAGivenToken) {
  const std::vector<float> logits = {std::log(0.5F), std::log(0.25F), std::log(0.25F)};
  const Sampled scored = score_token(logits, 1, 3);
  EXPECT_NEAR(scored.logprob, std::log(0.25F), 1e-5);
  EXPECT_EQ(scored.top[0].first, 0);
  EXPECT_EQ(scored.top[1].first, 1);
}

TEST(CheckParams, NamesTheFieldThatIsOutOfRange) {
  const auto field = [](auto change) {
    SamplingParams params;
    change(params);
    const auto checked = check_params(params, 100);
    return checked.ok() ? std::string("fine") : checked.error().param;
  };
  EXPECT_EQ(field([](auto&) {}), "fine");
  EXPECT_EQ(field([](auto& p) { p.temperature = kNan; }), "temperature");
  EXPECT_EQ(field([](auto& p) { p.temperature = -0.1F; }), "temperature");
  EXPECT_EQ(field([](auto& p) { p.top_p = 0; }), "top_p");
  EXPECT_EQ(field([](auto& p) { p.top_p = 1.01F; }), "top_p");
  EXPECT_EQ(field([](auto& p) { p.min_p = kNan; }), "min_p");
  EXPECT_EQ(field([](auto& p) { p.repetition_penalty = 0; }), "repetition_penalty");
  EXPECT_EQ(field([](auto& p) { p.presence_penalty = 3; }), "presence_penalty");
  EXPECT_EQ(field([](auto& p) { p.frequency_penalty = -3; }), "frequency_penalty");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 0; }), "max_tokens");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 1'000'000'000; }), "max_tokens");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 0, p.prompt_logprobs = 1; }), "fine");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 3, p.min_tokens = 4; }), "min_tokens");
  EXPECT_EQ(field([](auto& p) { p.logprobs = 21; }), "logprobs");
  EXPECT_EQ(field([](auto& p) { p.logit_bias = {{100, 1.0F}}; }), "logit_bias");
  EXPECT_EQ(field([](auto& p) { p.logit_bias = {{1, kNan}}; }), "logit_bias");
  EXPECT_EQ(field([](auto& p) { p.stop = {""}; }), "stop");
  EXPECT_EQ(field([](auto& p) { p.stop = {"\xFF"}; }), "stop");
  EXPECT_EQ(field([](auto& p) { p.stop_token_ids = {-1}; }), "stop_token_ids");
}

}  // namespace
}  // namespace headwater::model
