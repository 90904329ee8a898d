#include "model/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <random>
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

/// What sorting the whole vocabulary says: the probability of each token that may be drawn.
std::map<TokenId, double> sorted_draw(const SamplingParams& params, const std::vector<float>& logits) {
  std::vector<std::pair<double, TokenId>> order;
  const double best = *std::max_element(logits.begin(), logits.end());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    order.emplace_back(std::exp((logits[i] - best) / params.temperature), static_cast<TokenId>(i));
  }
  std::ranges::sort(order,
                    [](auto& a, auto& b) { return a.first > b.first || (a.first == b.first && a.second < b.second); });
  if (params.top_k > 0 && params.top_k < order.size()) order.resize(params.top_k);
  double total = 0;
  for (const auto& [weight, id] : order) total += weight;
  std::map<TokenId, double> kept;
  double weight_kept = 0;
  for (const auto& [weight, id] : order) {
    if (weight_kept >= total * params.top_p || weight < params.min_p || weight == 0) break;
    weight_kept += weight;
    kept[id] = weight;
  }
  for (auto& [id, weight] : kept) weight /= weight_kept;
  return kept;
}

TEST(Sampler, DrawsWhatSortingTheVocabularyWouldDraw) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 2);
  for (const std::size_t vocab : {1U, 2U, 63U, 64U, 65U, 131U, 1009U}) {
    for (int round = 0; round < 40; ++round) {
      std::vector<float> logits(vocab);
      for (float& logit : logits) {
        logit = random() % 8 == 0 ? -std::numeric_limits<float>::infinity() : std::round(normal(random) * 8) / 8;
      }
      logits[random() % vocab] = 5;
      SamplingParams params;
      params.temperature = std::array{0.3F, 1.0F, 3.0F}[random() % 3];
      params.top_k = std::array<std::uint32_t, 4>{0, 1, 7, 100}[random() % 4];
      // Odd values: a sum that comes to a bound exactly would be decided by rounding.
      params.top_p = std::array{1.0F, 0.913F, 0.517F, 0.0123F}[random() % 4];
      params.min_p = std::array{0.0F, 0.0517F, 0.713F}[random() % 3];
      const auto expected = sorted_draw(params, logits);
      std::map<TokenId, int> counts;
      Sampler sampler(params, random(), {});
      constexpr int kDraws = 400;
      for (std::uint64_t position = 0; position < kDraws; ++position) {
        std::vector<float> row = logits;
        ++counts[sampler.sample(row, position, 0).token];
      }
      for (const auto& [token, count] : counts) ASSERT_TRUE(expected.contains(token)) << vocab << " " << token;
      for (const auto& [token, probability] : expected) {
        // Six standard deviations.
        ASSERT_NEAR(counts[token], kDraws * probability, 6 * std::sqrt(kDraws * probability) + 1) << vocab;
      }
    }
  }
}

TEST(Sampler, TopPCountsWhatTopKLeftAndMinPComesLast) {
  SamplingParams params;
  params.top_p = 0.6F;
  params.min_p = 0.5F;  // 0.5 and 0.3 are left by both, whichever is first; of 0.8 in all, 0.5 would be 62 %
  const std::vector<float> logits = {std::log(0.5F), std::log(0.3F), std::log(0.1F), std::log(0.1F)};
  EXPECT_EQ(draws(params, logits).size(), 2U);
  params.top_k = 2;
  EXPECT_EQ(draws(params, logits).size(), 1U);
}

TEST(Sampler, DrawsByTheWholeVocabularyWhereNothingIsCut) {
  SamplingParams params;
  std::vector<float> logits(3 * kLogitBlock + 5, -std::numeric_limits<float>::infinity());
  logits[1] = logits[2 * kLogitBlock + 3] = logits.back() = 0;  // a whole block between is masked
  const auto counts = draws(params, logits);
  ASSERT_EQ(counts.size(), 3U);
  for (const auto& [token, count] : counts) EXPECT_NEAR(count, 4000 / 3, 200) << token;
}

TEST(Sampler, KeepsToFiniteNumbersAtTheEndsOfEveryRange) {
  SamplingParams penalty;
  penalty.repetition_penalty = 1e-40F;
  ASSERT_TRUE(check_params(penalty, 3).ok());
  Sampler penalised(penalty, 1, {});
  penalised.observe(1, true);
  std::vector<float> logits = {1, 2, 3};
  const Sampled sampled = penalised.sample(logits, 0, 0);
  EXPECT_FALSE(sampled.bad_logits);
  EXPECT_EQ(sampled.token, 1);

  SamplingParams cold;
  cold.temperature = 1e-42F;
  EXPECT_EQ(pick(cold, {1, 2, 3}), 2);
  SamplingParams hot;
  hot.temperature = 100;
  EXPECT_EQ(draws(hot, {-3e38F, 3e38F}), (std::map<TokenId, int>{{1, 4000}}));
}

TEST(Sampler, FailsWhenEverythingIsMasked) {
  SamplingParams params;
  params.min_tokens = 1;
  const TokenId ends[] = {0, 1};
  Sampler sampler(params, 1, ends);
  std::vector<float> logits = {1, 2};
  EXPECT_TRUE(sampler.sample(logits, 0, 0).bad_logits);
}

TEST(Sampler, ScoresAGivenToken) {
  const std::vector<float> logits = {std::log(0.5F), std::log(0.25F), std::log(0.25F)};
  const Sampled scored = score_token(logits, 1, 3);
  EXPECT_NEAR(scored.logprob, std::log(0.25F), 1e-5);
  EXPECT_EQ(scored.top[0].first, 0);
  EXPECT_EQ(scored.top[1].first, 1);
}

}  // namespace
}  // namespace headwater::model
