#include "schedule/length_guess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

namespace headwater::schedule {
namespace {

AdmittedRequest asking(std::optional<std::uint32_t> max_tokens, std::uint32_t fits = 4096) {
  AdmittedRequest request;
  request.request.params.max_tokens = max_tokens;
  request.max_new_tokens = max_tokens.value_or(fits);
  return request;
}

void end(LengthGuess& guess, const AdmittedRequest& request, std::uint32_t tokens, int times = 1) {
  for (int i = 0; i < times; ++i) guess.ended(request, tokens);
}

TEST(LengthGuess, TakesAnyLengthForAsLikelyBeforeAnythingHasEnded) {
  const LengthGuess guess;
  const RestOfAnswer rest = guess.rest(asking(1000), 0);
  EXPECT_EQ(rest.quantile(0.5), 500);
  EXPECT_EQ(rest.quantile(1), 1000);
  EXPECT_EQ(rest.outlasts(0), 1);
  EXPECT_EQ(rest.outlasts(750), 0.25);
  EXPECT_EQ(guess.rest(asking(1000), 400).quantile(0.5), 300) << "of what is left";
}

TEST(LengthGuess, ExpectsWhatAnswersGotThatEndedLately) {
  LengthGuess guess;
  end(guess, asking(1000), 100, 64);
  const RestOfAnswer rest = guess.rest(asking(1000), 0);
  EXPECT_EQ(rest.quantile(0.5), 100);
  EXPECT_EQ(rest.outlasts(99), 1);
  EXPECT_NEAR(rest.outlasts(100), 0, 0.02) << "one may be the longest so far";
  end(guess, asking(1000), 900, 64);
  EXPECT_EQ(guess.rest(asking(1000), 0).quantile(0.5), 900) << "those before are forgotten";
}

TEST(LengthGuess, ExpectsAShareOfMaxTokensAndTokensWhereNoneIsNamed) {
  LengthGuess guess;
  end(guess, asking(1000), 100, 64);
  EXPECT_EQ(guess.rest(asking(600), 0).quantile(0.5), 60) << "of about that max_tokens";
  EXPECT_EQ(guess.rest(asking(8), 0).quantile(0.5), 4) << "another kind";
  end(guess, asking(std::nullopt, 3000), 300, 64);
  EXPECT_EQ(guess.rest(asking(std::nullopt, 2000), 0).quantile(0.5), 300);
  EXPECT_EQ(guess.rest(asking(std::nullopt, 200), 0).quantile(0.5), 200) << "the context ends before";
}

TEST(LengthGuess, LeavesOutAnswersThatEndedEarlier) {
  LengthGuess guess;
  end(guess, asking(1000), 100, 32);
  end(guess, asking(1000), 500, 32);
  EXPECT_EQ(guess.rest(asking(1000), 0).quantile(0.25), 100);
  EXPECT_EQ(guess.rest(asking(1000), 200).quantile(0.25), 300);
  EXPECT_EQ(guess.rest(asking(1000), 200).quantile(0.75), 300);
}

TEST(LengthGuess, ExpectsAsLongAgainAtMostOfWhoHasOutlivedAll) {
  LengthGuess guess;
  end(guess, asking(1000), 100, 64);
  EXPECT_EQ(guess.rest(asking(1000), 300).quantile(0.5), 150);
  EXPECT_EQ(guess.rest(asking(1000), 300).quantile(1), 300);
  EXPECT_EQ(guess.rest(asking(1000), 800).quantile(1), 200) << "no more than is allowed";
}

TEST(LengthGuess, LetsAFewShortAnswersNotSpeakForLongOnes) {
  LengthGuess guess;
  end(guess, asking(1000), 20, 2);
  EXPECT_EQ(guess.rest(asking(1000), 40).quantile(1), 960);
  EXPECT_GT(guess.rest(asking(1000), 0).quantile(0.9), 500);
}

TEST(LengthGuess, KnowsWhereOnlyMaxTokensEndsAnAnswer) {
  LengthGuess guess;
  end(guess, asking(1000), 100, 64);
  AdmittedRequest whole = asking(1000);
  whole.request.params.ignore_eos = true;
  EXPECT_TRUE(guess.rest(whole, 30).is_certain());
  EXPECT_EQ(guess.rest(whole, 30).quantile(0.1), 970);
  EXPECT_EQ(guess.rest(whole, 30).outlasts(969), 1);
  EXPECT_EQ(guess.rest(whole, 30).outlasts(970), 0);
  AdmittedRequest some = asking(1000);
  some.request.params.min_tokens = 200;
  EXPECT_EQ(guess.rest(some, 50).quantile(0), 150);
  EXPECT_EQ(guess.rest(some, 50).outlasts(149), 1);
  EXPECT_FALSE(guess.rest(some, 50).is_certain());
}

TEST(LengthGuess, LearnsNothingOfWhatNeverBegan) {
  LengthGuess guess;
  end(guess, asking(1000), 0, 64);
  EXPECT_EQ(guess.rest(asking(1000), 0).quantile(0.5), 500);
}

TEST(LengthGuess, GivesChancesThatFallFromOneToZero) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    LengthGuess guess;
    const std::uint32_t most = 1 + random() % 500;
    for (std::uint32_t i = random() % 100; i > 0; --i) guess.ended(asking(most), 1 + random() % most);
    const std::uint32_t generated = random() % most;
    const RestOfAnswer rest = guess.rest(asking(most), generated);
    EXPECT_EQ(rest.outlasts(most - generated), 0);
    double before = 1;
    for (std::uint32_t tokens = 0; tokens <= most - generated; ++tokens) {
      const double now = rest.outlasts(tokens);
      EXPECT_LE(now, before);
      EXPECT_GE(now, 0);
      before = now;
    }
    for (const double p : {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}) {
      EXPECT_LE(rest.outlasts(rest.quantile(p)), 1 - p + 1e-9);
      EXPECT_LE(rest.quantile(p), most - generated);
    }
  }
}

}  // namespace
}  // namespace headwater::schedule
