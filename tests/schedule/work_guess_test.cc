#include "schedule/work_guess.h"

#include <gtest/gtest.h>

#include <string>

namespace headwater::schedule {
namespace {

Request text_request(std::size_t bytes, std::optional<std::uint32_t> max_tokens = std::nullopt) {
  Request request;
  request.prompt = std::string(bytes, 'x');
  request.params.max_tokens = max_tokens;
  return request;
}

TEST(WorkGuess, CountsIdsAndGuessesTextByWhatTextWasBefore) {
  WorkGuess guess;
  Request ids;
  ids.prompt = std::vector<TokenId>(70, 1);
  EXPECT_EQ(guess.expect(ids).prompt, 70);
  EXPECT_EQ(guess.expect(text_request(400)).prompt, 100);
  for (int i = 0; i < 100; ++i) guess.tokenized(text_request(1000), 500);
  EXPECT_NEAR(guess.expect(text_request(400)).prompt, 200, 2);
}

TEST(WorkGuess, TakesOffWhatTheCacheUsuallyHas) {
  WorkGuess guess;
  for (int i = 0; i < 100; ++i) guess.started(1000, 900);
  EXPECT_NEAR(guess.expect(text_request(4000)).prompt, 100, 5);
  Request scored = text_request(4000);
  scored.params.prompt_logprobs = 0;
  EXPECT_EQ(guess.expect(scored).prompt, 1000) << "scoring computes all of it";
}

TEST(WorkGuess, ExpectsAnswersAsLongAsThoseOfLikeRequestsWere) {
  WorkGuess guess;
  EXPECT_EQ(guess.expect(text_request(40, 8)).answer, 8) << "no longer than allowed";
  for (int i = 0; i < 100; ++i) {
    guess.finished(text_request(40, 1024), 102);
    guess.finished(text_request(40, 16), 16);
    guess.finished(text_request(40), 300);
  }
  EXPECT_NEAR(guess.expect(text_request(40, 1500)).answer, 150, 2);
  EXPECT_NEAR(guess.expect(text_request(40, 20)).answer, 20, 0.1);
  EXPECT_NEAR(guess.expect(text_request(40)).answer, 300, 1);
}

TEST(WorkGuess, IsCertainOfWhatOnlyMaxTokensEnds) {
  WorkGuess guess;
  Request request = text_request(40, 500);
  EXPECT_EQ(guess.expect(request).certain_answer, 1);
  request.params.min_tokens = 7;
  EXPECT_EQ(guess.expect(request).certain_answer, 7);
  request.params.ignore_eos = true;
  EXPECT_EQ(guess.expect(request).certain_answer, 500);
  EXPECT_EQ(guess.expect(request).answer, 500);
}

TEST(WorkGuess, LearnsFromAnswersThatWereCutWhereTheyWereLongerThanUsual) {
  WorkGuess guess;
  for (int i = 0; i < 50; ++i) guess.finished(text_request(40, 1000), 50);
  const double before = guess.expect(text_request(40, 1000)).answer;
  guess.cut(text_request(40, 1000), 10);
  EXPECT_EQ(guess.expect(text_request(40, 1000)).answer, before);
  for (int i = 0; i < 50; ++i) guess.cut(text_request(40, 1000), 400);
  EXPECT_GT(guess.expect(text_request(40, 1000)).answer, 300);
}

}  // namespace
}  // namespace headwater::schedule
