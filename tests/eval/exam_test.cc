#include "tools/eval/exam.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::HasSubstr;

McQuestion question(std::string text, std::size_t answer) { return {"f.csv:1", std::move(text), answer, std::nullopt}; }

std::vector<Subject> two_subjects() {
  Subject sums{"sums", "one ", {question("a\nAnswer:", 0), question("bb\nAnswer:", 1), question("ccc\nAnswer:", 2)}};
  Subject words{"words", "two ", {question("d\nAnswer:", 3), question(std::string(300, 'e'), 0)}};
  return {sums, words};
}

TEST(Exam, LeavesOutWhatTheContextIsTooShortForAndCountsIt) {
  const auto tokenizer = byte_tokenizer();
  const auto subjects = two_subjects();
  const auto exam = Exam::make(subjects, *tokenizer, 100, 0);
  ASSERT_TRUE(exam.ok());
  EXPECT_EQ(exam->questions(), 4U);
  EXPECT_EQ(exam->too_long(), 1U);
  EXPECT_EQ(Exam::make(subjects, *tokenizer, 1000, 0)->too_long(), 0U);
  const auto none = Exam::make(subjects, *tokenizer, 8, 0);
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("no questions that fit the model's context"));
}

TEST(Exam, AsksTheFirstOfEachSubjectWhereThereIsALimit) {
  const auto tokenizer = byte_tokenizer();
  const auto subjects = two_subjects();
  EXPECT_EQ(Exam::make(subjects, *tokenizer, 1000, 2)->questions(), 4U);
  EXPECT_EQ(Exam::make(subjects, *tokenizer, 1000, 1)->questions(), 2U);
}

TEST(Exam, ComparesChoicesWithThoseOfTheFirstTimeTheyWereAsked) {
  const auto tokenizer = byte_tokenizer();
  const auto subjects = two_subjects();
  const auto exam = Exam::make(subjects, *tokenizer, 1000, 0);
  HashModel model;
  Scorer scorer(model);
  FirstChoices first;
  std::size_t told = 0;
  const auto tally = exam->ask(scorer, {"0"}, first, [&] { ++told; });
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->questions(), 5U);
  EXPECT_EQ(told, 5U);
  EXPECT_EQ(tally->same_as_first(), 1);
  ASSERT_EQ(first.size(), 5U);
  first.begin()->second = (first.begin()->second + 1) % kChoices;
  EXPECT_DOUBLE_EQ(exam->ask(scorer, {"0"}, first)->same_as_first().value_or(0), 4.0 / 5);
}

}  // namespace
}  // namespace headwater::eval
