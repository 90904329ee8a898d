#include "model/logits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace headwater::model {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_row(std::size_t vocab, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> row(vocab);
  for (float& logit : row) logit = static_cast<float>(random() % 400) / 16 - 12;  // many equals
  return row;
}

RowSummary summary_of(const std::vector<float>& row) {
  RowSummary summary;
  summarise(row, summary);
  return summary;
}

TEST(Logits, FindsTheFirstOfTheBestInRowsOfAnyLength) {
  for (const std::size_t vocab : {1U, 2U, 63U, 64U, 65U, 127U, 128U, 1009U}) {
    const auto row = random_row(vocab, static_cast<unsigned>(vocab));
    const RowSummary summary = summary_of(row);
    EXPECT_TRUE(summary.usable);
    EXPECT_EQ(summary.best_id, std::max_element(row.begin(), row.end()) - row.begin());
    EXPECT_EQ(summary.best, row[static_cast<std::size_t>(summary.best_id)]);
  }
}

TEST(Logits, NoticesAnUnusableLogitAtAnyPlace) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (std::size_t place = 0; place < 131; ++place) {
      auto row = random_row(131, 1);
      row[place] = bad;
      EXPECT_FALSE(summary_of(row).usable) << place;
      row[place] = -kInfinity;
      EXPECT_TRUE(summary_of(row).usable) << place;
    }
  }
  EXPECT_FALSE(summary_of(std::vector<float>(70, -kInfinity)).usable);
  EXPECT_FALSE(summary_of({}).usable);
}

TEST(Logits, WeightsAreRelativeToTheBest) {
  EXPECT_EQ(weight(-kInfinity, 3, 1), 0);
  EXPECT_EQ(weight(3, 3, 1e5F), 1);
  EXPECT_EQ(weight(3, 103, 1), 0);
}

TEST(Logits, SumsOfBlocksMakeUpTheSum) {
  for (const std::size_t vocab : {1U, 64U, 65U, 1009U}) {
    const auto row = random_row(vocab, 3);
    const RowSummary summary = summary_of(row);
    double expected = 0;
    for (float logit : row) expected += std::exp((double{logit} - summary.best) / 2);
    std::vector<float> blocks;
    const double sum = sum_exp(row, summary.best, 0.5F, blocks);
    EXPECT_NEAR(sum / expected, 1, 1e-6);
    EXPECT_EQ(blocks.size(), summary.block_best.size());
    double total = 0;
    for (float block : blocks) total += block;
    EXPECT_EQ(total, sum);
  }
  std::vector<float> blocks;
  std::vector<float> row(kLogitBlock, -kInfinity);
  row.push_back(1);
  sum_exp(row, 1, 1, blocks);
  EXPECT_EQ(blocks, (std::vector<float>{0, 1}));
}

TEST(Logits, FindsTheBestTokensInTheOrderOfASort) {
  for (const std::size_t vocab : {1U, 20U, 64U, 65U, 1009U, 5000U}) {
    const auto row = random_row(vocab, 5);
    std::vector<TokenId> order(vocab);
    for (std::size_t i = 0; i < vocab; ++i) order[i] = static_cast<TokenId>(i);
    std::ranges::stable_sort(order, std::greater<>(), [&](TokenId id) { return row[static_cast<std::size_t>(id)]; });
    for (const std::size_t n : {0U, 1U, 5U, 20U}) {
      const auto best = best_tokens(row, summary_of(row), n, 2);
      ASSERT_EQ(best.size(), std::min(n, vocab));
      for (std::size_t i = 0; i < best.size(); ++i) {
        EXPECT_EQ(best[i].first, order[i]);
        EXPECT_EQ(best[i].second, row[static_cast<std::size_t>(order[i])] - 2);
      }
    }
  }
}

TEST(Logits, ABoundOfTheBestIsReachedByAsManyAsAskedFor) {
  const auto row = random_row(1009, 9);
  const RowSummary summary = summary_of(row);
  std::vector<float> scratch;
  std::vector<Candidate> found;
  for (std::size_t n = 1; n <= summary.block_best.size() + 1; ++n) {
    gather(row, summary, bound_of_best(summary, n, scratch), found);
    EXPECT_GE(found.size(), n);
    EXPECT_TRUE(std::ranges::is_sorted(found, {}, &Candidate::id));
  }
}

}  // namespace
}  // namespace headwater::model
