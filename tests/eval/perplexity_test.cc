#include "tools/eval/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/documents.h"
#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::HasSubstr;

std::vector<TokenId> letters(std::size_t n) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>(64 + i * 7 % 26));
  return ids;
}

/// "begin-scored-end" of each window.
std::string windows_text(std::size_t n, WindowSizes sizes, TokenId bos = -1, std::size_t limit = SIZE_MAX) {
  std::string all;
  for (const Window& window : windows(text(letters(n), bos), sizes, limit)) {
    all += std::to_string(window.begin) + "-" + std::to_string(window.scored) + "-" + std::to_string(window.end) + " ";
  }
  return all;
}

TEST(Windows, AShortTextIsOne) {
  EXPECT_EQ(windows_text(10, {10, 5}), "0-1-10 ");
  EXPECT_EQ(windows_text(1, {10, 5}), "0-1-1 ");
  EXPECT_EQ(windows_text(10, {11, 5}, 3), "0-0-10 ");
}

TEST(Windows, ScoreEachTokenOnceAndTakeWhatStandsBefore) {
  EXPECT_EQ(windows_text(20, {8, 4}), "0-1-8 4-8-12 8-12-16 12-16-20 ");
  EXPECT_EQ(windows_text(9, {8, 4}), "0-1-8 4-8-9 ");
  EXPECT_EQ(windows_text(9, {9, 4}, 3), "0-0-8 4-8-9 ");  // one place of nine is the BOS's
}

TEST(Windows, ThatDoNotOverlapHaveNothingBeforeTheirFirstToken) {
  EXPECT_EQ(windows_text(20, {8, 8}), "0-1-8 8-9-16 16-17-20 ");
  EXPECT_EQ(windows_text(9, {5, 5}, 3), "0-0-4 4-4-8 8-8-9 ");
}

TEST(Windows, AreAtMostSoMany) { EXPECT_EQ(windows_text(20, {8, 4}, -1, 2), "0-1-8 4-8-12 "); }

TEST(Perplexity, IsThatWorkedOutByHand) {
  // After token 0: 1/2, 1/4, 1/4; after token 1: 1/8, 1/8, 3/4.
  TableModel model(3, {{std::log(2.F), 0, 0}, {0, 0, std::log(6.F)}, {0, 0, 0}});
  Scorer scorer(model);
  scorer.reset({"0"}, 16);
  Document document = text({0, 0, 1, 2});
  document.mean_nll = 1.0;
  document.top_ids = {0, 2};
  document.top_logprobs = {-1, -1.5};
  const auto sums = measure(scorer, document, windows(document, {16, 8}));
  ASSERT_TRUE(sums.ok());
  EXPECT_EQ(sums->tokens, 3U);
  const double nll = std::log(2.0) + std::log(4.0) + std::log(4.0 / 3);  // 1/2 · 1/4 · 3/4
  EXPECT_NEAR(sums->nll, nll, 1e-5);
  EXPECT_NEAR(*sums->perplexity(), std::exp(nll / 3), 1e-5);
  EXPECT_NEAR(*sums->ratio_to_reference(), std::exp(nll / 3 - 1.0), 1e-5);
  EXPECT_NEAR(*sums->mean_top_difference(), ((std::log(3.0) - 1) + (1.5 - std::log(3.0))) / 2, 1e-5);
}

TEST(Perplexity, TakesAllThatStandsBeforeInItsWindow) {
  HashModel model;
  Scorer scorer(model);
  scorer.reset({"0"}, 1000);
  auto ids = letters(900);
  for (std::size_t i = 100; i < 900; i += 3) ids[i] = HashModel::next(std::span(ids).first(i));
  const auto sums = measure(scorer, text(ids), windows(text(ids), {1000, 500}));
  ASSERT_TRUE(sums.ok());
  EXPECT_EQ(sums->tokens, 899U);
  EXPECT_NEAR(sums->nll, model.nll(ids, 1), 1e-2);
}

TEST(Perplexity, WindowsBeginAnewWithTheBeginningToken) {
  HashModel model;
  Scorer scorer(model);
  scorer.reset({"0"}, 50);
  const TokenId bos = 260;
  auto ids = letters(80);
  double by_hand = 0;
  for (const auto& [begin, scored, end] : {Window{0, 0, 49}, Window{25, 49, 74}, Window{50, 74, 80}}) {
    std::vector<TokenId> window = {bos};
    for (std::size_t i = begin; i < end; ++i) {
      if (i >= scored && i % 2 == 0) ids[i] = HashModel::next(window);
      window.push_back(ids[i]);
    }
    by_hand += model.nll(window, scored - begin + 1);
  }
  const auto sums = measure(scorer, text(ids, bos), windows(text(ids, bos), {50, 25}));
  ASSERT_TRUE(sums.ok());
  EXPECT_EQ(sums->tokens, 80U);
  EXPECT_NEAR(sums->nll, by_hand, 1e-3);
}

TEST(Perplexity, AReferenceCountsForTheWholeTextInOneWindow) {
  HashModel model;
  Scorer scorer(model);
  scorer.reset({"0"}, 100);
  Document document = text(letters(90));
  document.mean_nll = 2;
  document.top_ids = {1};
  document.top_logprobs = {-1};
  EXPECT_EQ(measure(scorer, document, windows(document, {100, 50}))->reference_tokens, 89U);
  for (const auto& parts : {windows(document, {60, 30}), windows(document, {60, 30}, 1)}) {
    const auto sums = measure(scorer, document, parts);
    EXPECT_EQ(sums->reference_tokens, 0U);
    EXPECT_FALSE(sums->ratio_to_reference().has_value());
    EXPECT_FALSE(sums->mean_top_difference().has_value());
  }
}

TEST(Perplexity, SumsWeighTextsByTheirTokens) {
  Likelihood all{10, 20, 10, 1, 2, 0.5};
  all += {30, 30, 0, 0, 0, 0};
  EXPECT_DOUBLE_EQ(*all.perplexity(), std::exp(50.0 / 40));
  EXPECT_DOUBLE_EQ(*all.ratio_to_reference(), std::exp(0.1));
  EXPECT_DOUBLE_EQ(*all.mean_top_difference(), 0.25);
  EXPECT_FALSE(Likelihood().perplexity().has_value());
}

TEST(Perplexity, UnusableLogitsAreAnErrorWithTheirPlace) {
  TableModel model(2, {{0, 0}, {std::numeric_limits<float>::quiet_NaN(), 0}});
  Scorer scorer(model);
  scorer.reset({"0"}, 8);
  const Document document = text({0, 0, 1, 0});
  const auto sums = measure(scorer, document, windows(document, {8, 4}));
  ASSERT_FALSE(sums.ok());
  EXPECT_THAT(sums.error().message, HasSubstr("f.txt: the model gave no usable logits for token 3"));
}

}  // namespace
}  // namespace headwater::eval
