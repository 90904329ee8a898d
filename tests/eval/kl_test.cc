#include "tools/eval/kl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/eval/documents.h"
#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::HasSubstr;

float ln(double x) { return static_cast<float>(std::log(x)); }

TEST(Kl, IsThatWorkedOutByHand) {
  const std::vector<float> half = {ln(2), ln(1), ln(1)};  // 1/2, 1/4, 1/4
  const std::vector<float> last = {ln(1), ln(1), ln(6)};  // 1/8, 1/8, 3/4
  const Divergence found = divergence(half, last);
  EXPECT_NEAR(found.kl, 0.5 * std::log(4.0) + 0.25 * std::log(2.0) + 0.25 * std::log(1.0 / 3), 1e-6);
  EXPECT_FALSE(found.same_top);
  const Divergence back = divergence(last, half);
  EXPECT_NEAR(back.kl, 0.125 * std::log(0.25) + 0.125 * std::log(0.5) + 0.75 * std::log(3.0), 1e-6);
}

TEST(Kl, OfADistributionFromItselfIsNothing) {
  const std::vector<float> logits = {3, -2, 700, 0.5F};
  EXPECT_EQ(divergence(logits, logits).kl, 0);
  EXPECT_TRUE(divergence(logits, logits).same_top);
  const std::vector<float> shifted = {4, -1, 701, 1.5F};  // the same distribution
  EXPECT_NEAR(divergence(logits, shifted).kl, 0, 1e-9);
}

TEST(Kl, OfWhatNeverComesCountsNothing) {
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(divergence(std::vector<float>{0, never}, std::vector<float>{0, 0}).kl, std::log(2.0), 1e-9);
}

TEST(Kl, OfLogitsThatAreNotUsableIsNone) {
  const float never = -std::numeric_limits<float>::infinity();
  const float none = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(divergence(std::vector<float>{0, 0}, std::vector<float>{0, never}).kl));
  EXPECT_TRUE(std::isnan(divergence(std::vector<float>{0, none}, std::vector<float>{0, 0}).kl));
  EXPECT_TRUE(std::isnan(divergence(std::vector<float>{0, 0}, std::vector<float>{none, 0}).kl));
}

TEST(KlTally, GivesMeanPercentilesAndAgreement) {
  KlTally tally;
  EXPECT_FALSE(tally.mean());
  EXPECT_FALSE(tally.percentile(0.5));
  EXPECT_FALSE(tally.same_top());
  for (int i = 100; i >= 1; --i) tally.add({i / 100.0, i > 25});
  EXPECT_NEAR(*tally.mean(), 0.505, 1e-12);
  EXPECT_EQ(*tally.percentile(0.5), 0.5);
  EXPECT_EQ(*tally.percentile(0.99), 0.99);
  EXPECT_EQ(*tally.percentile(1), 1);
  EXPECT_EQ(*tally.percentile(0), 0.01);
  EXPECT_EQ(*tally.same_top(), 0.75);
}

TEST(Kl, ComparesEveryScoredTokenOfEveryWindow) {
  // After an even token both agree; after an odd one the second model is sure of another token.
  TableModel base(4, {{0, 0, 0, 0}, {0, 0, 0, 0}});
  TableModel other(4, {{0, 0, 0, 0}, {ln(9), 0, 0, 0}});  // odd: 9/12, 1/12, 1/12, 1/12
  const double apart = 0.25 * std::log(0.25 * 12 / 9) + 0.75 * std::log(0.25 * 12);
  std::vector<TokenId> tokens;
  for (int i = 0; i < 700; ++i) tokens.push_back(i % 4);
  for (const TokenId bos : {-1, 1}) {
    const Document document = text(tokens, bos);
    Scorer first(base), second(other);
    first.reset({"0"}, 701);
    second.reset({"0"}, 701);
    for (const WindowSizes sizes : {WindowSizes{701, 350}, WindowSizes{300, 150}}) {
      KlTally tally;
      std::size_t computed = 0;
      const auto done =
          compare(first, second, document, windows(document, sizes), tally, [&](std::size_t n) { computed += n; });
      ASSERT_TRUE(done.ok());
      const std::size_t scored = bos >= 0 ? 700 : 699;
      EXPECT_EQ(tally.tokens(), scored);
      EXPECT_GE(computed, scored);
      // Of the tokens that are scored, half come after an odd one: with the BOS one more.
      EXPECT_NEAR(*tally.mean(), apart * static_cast<double>(bos >= 0 ? 350 : 349) / static_cast<double>(scored), 1e-6);
      EXPECT_NEAR(*tally.percentile(1), apart, 1e-6);
      EXPECT_EQ(*tally.same_top(), 1);
    }
  }
}

TEST(Kl, NamesTheTokenWhoseLogitsAreNotUsable) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  TableModel base(2, {{0, 0}, {0, 0}});
  TableModel other(2, {{0, 0}, {0, none}});
  Scorer first(base), second(other);
  first.reset({"0"}, 8);
  second.reset({"0"}, 8);
  KlTally tally;
  const Document document = text({0, 0, 1, 0});
  const auto done = compare(first, second, document, windows(document, {8, 4}), tally);
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message, HasSubstr("f.txt: the model gave no usable logits for token 3"));
}

}  // namespace
}  // namespace headwater::eval
