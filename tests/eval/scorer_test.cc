#include "tools/eval/scorer.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

std::vector<TokenId> tokens(std::size_t n, TokenId seed = 0) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>((i * 37 + 11) % 250) ^ seed);
  return ids;
}

/// What was shown, by index.
std::map<std::size_t, std::vector<float>> run(Scorer& scorer, const std::vector<TokenId>& ids, std::size_t first) {
  std::map<std::size_t, std::vector<float>> rows;
  std::mutex mutex;
  scorer.run(ids, first, [&](std::size_t index, std::span<const float> logits) {
    const std::lock_guard lock(mutex);
    rows[index].assign(logits.begin(), logits.end());
  });
  return rows;
}

TEST(Scorer, ShowsEveryRowFromTheFirstWantedOn) {
  HashModel model;
  Scorer scorer(model);
  scorer.reset({"0"}, 700);
  const auto ids = tokens(700);
  for (const std::size_t first : {0U, 1U, 255U, 256U, 300U, 699U}) {
    const auto rows = run(scorer, ids, first);
    ASSERT_EQ(rows.size(), 700 - first);
    for (const auto& [index, logits] : rows) {
      const TokenId next = HashModel::next(std::span(ids).first(index + 1));
      EXPECT_EQ(logits[static_cast<std::size_t>(next)], 20) << index;
    }
  }
}

TEST(Scorer, UsesBlocksAgainThatTwoSequencesHaveInCommon) {
  HashModel model;
  std::size_t told = 0;
  Scorer scorer(model, [&](std::size_t n) { told += n; });
  scorer.reset({"0"}, 200);
  auto ids = tokens(200);
  run(scorer, ids, 199);
  EXPECT_EQ(scorer.computed(), 200U);
  ids[100] ^= 1;  // in the fourth block
  const auto rows = run(scorer, ids, 199);
  EXPECT_EQ(scorer.computed(), 200U + 104U);
  EXPECT_EQ(told, scorer.computed());
  EXPECT_EQ(rows.at(199)[static_cast<std::size_t>(HashModel::next(ids))], 20);
  run(scorer, ids, 40);  // rows that are wanted have to be computed
  EXPECT_EQ(scorer.computed(), 304U + 168U);
  scorer.reset({"0"}, 200);
  run(scorer, ids, 199);
  EXPECT_EQ(scorer.computed(), 472U + 200U);
}

TEST(Scorer, KnowsThatTheFirstBlockOfSomeFormatsHoldsFewerTokens) {
  HashModel model;
  Scorer scorer(model);
  // Blocks end at tokens 16, 48, 80, 112, …
  const QuantPolicy policy{"4", {.key_bits = 4, .value_bits = 4, .first_in_8_bits = true}};
  for (const std::size_t n : {1U, 16U, 17U, 48U, 49U, 200U}) {
    scorer.reset(policy, n);
    const auto ids = tokens(n);
    EXPECT_EQ(run(scorer, ids, n - 1).at(n - 1)[static_cast<std::size_t>(HashModel::next(ids))], 20) << n;
  }
  auto ids = tokens(200);
  ids[100] ^= 1;
  const auto before = scorer.computed();
  EXPECT_EQ(run(scorer, ids, 199).at(199)[static_cast<std::size_t>(HashModel::next(ids))], 20);
  EXPECT_EQ(scorer.computed(), before + 200U - 80U);
}

TEST(Scorer, AShorterSequenceLeavesNothingBehind) {
  HashModel model;
  Scorer scorer(model);
  scorer.reset({"0"}, 200);
  run(scorer, tokens(200), 199);
  run(scorer, tokens(70, 1), 69);
  const auto ids = tokens(200);
  EXPECT_EQ(run(scorer, ids, 199).at(199)[static_cast<std::size_t>(HashModel::next(ids))], 20);
}

TEST(Scorer, GivesTheSameBitsWithABeginningThatWasComputedBefore) {
  const test::TemporaryFile file(test::tiny_llama({}).bytes());
  const auto model =
      model::Architecture::load(model::GgufFile::open(file.path()).value(), kernels::make_cpu_backend(2)).value();
  Scorer scorer(*model);
  scorer.reset({"0"}, 400);
  const auto ids = tokens(400);
  const auto alone = run(scorer, ids, 0);
  auto other = ids;
  other[300] ^= 1;
  run(scorer, other, 399);
  const auto again = run(scorer, ids, 320);
  for (std::size_t i = 320; i < 400; ++i) EXPECT_EQ(again.at(i), alone.at(i)) << i;
}

TEST(Scorer, LogprobIsThatOfSoftmax) {
  const std::vector<float> logits = {1, 2, 3};
  EXPECT_NEAR(logprob(logits, 2), 3 - std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)), 1e-6);
  const std::vector<float> bad = {1, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(logprob(bad, 0)));
}

}  // namespace
}  // namespace headwater::eval
