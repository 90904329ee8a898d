#include "tools/eval/mmlu_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::eval {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// Rows q0, q1, …; the answer of q_i is i % 4.
std::string rows(int n, bool letters = false) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    const std::string name = std::to_string(i);
    text += "q" + name + ",a" + name + ",b,c,d," + static_cast<char>((letters ? 'A' : '0') + i % 4) + "\n";
  }
  return text;
}

Result<Subject> from(const std::string& text) { return read_subject("a_b", {text, "s.csv"}, std::nullopt); }

TEST(MmluData, ThePromptIsThatOfThePaper) {
  const auto subject = from("question,A,B,C,D,answer\n" + rows(7));
  ASSERT_TRUE(subject.ok()) << subject.error().message;
  EXPECT_THAT(subject->preamble,
              StartsWith("The following are multiple choice questions (with answers) about a b.\n\n"
                         "q0\nA. a0\nB. b\nC. c\nD. d\nAnswer: A\n\nq1\nA. a1\nB. b\nC. c\nD. d\nAnswer: B\n\n"));
  EXPECT_TRUE(subject->preamble.ends_with("Answer: A\n\n"));
  ASSERT_EQ(subject->questions.size(), 2U);
  EXPECT_EQ(subject->questions[0].text, "q5\nA. a5\nB. b\nC. c\nD. d\nAnswer:");
  EXPECT_EQ(subject->questions[0].answer, 1U);
  EXPECT_EQ(subject->questions[0].place, "s.csv:7");
}

TEST(MmluData, SpacesAroundAQuestionGoAndThoseOfAChoiceStay) {
  const auto subject = from(rows(5) + "\"  a b\n \", a,b ,,d,3\n  ,a,b,c,d,3\n");
  ASSERT_TRUE(subject.ok());
  EXPECT_EQ(subject->questions[0].text, "a b\nA.  a\nB. b \nC. \nD. d\nAnswer:");
  EXPECT_EQ(subject->questions[1].text, "\nA. a\nB. b\nC. c\nD. d\nAnswer:");
}

TEST(MmluData, SolvedQuestionsMayHaveAFileOfTheirOwn) {
  const std::string shots = rows(6, true);
  const std::string questions = rows(3, true);
  const auto subject = read_subject("s", {shots, "dev.csv"}, CsvText{questions, "test.csv"});
  ASSERT_TRUE(subject.ok());
  EXPECT_EQ(subject->questions.size(), 3U);
  EXPECT_EQ(subject->questions[2].answer, 2U);
  EXPECT_THAT(subject->preamble, testing::Not(HasSubstr("q5")));
}

TEST(MmluData, MistakesNameFileAndLine) {
  EXPECT_EQ(from(rows(4)).error().message, "s.csv: 4 questions, expected at least 5");
  EXPECT_EQ(from("a,b\n").error().message, "s.csv:1: expected question,A,B,C,D,answer; found 2 fields");
  EXPECT_THAT(from("x,a,b,c,d,1\nx,a,b,c,d,E\n").error().message,
              HasSubstr("s.csv:2: the answer is \"E\", expected 0 … 3 or A … D"));
  EXPECT_THAT(from("x,a,b,c,d,1\nquestion,A,B,C,D,answer\n").error().message, StartsWith("s.csv:2: the answer is"));
}

TEST(MmluData, PromptsComeWhole) {
  const auto subjects = read_prompts(
      "{\"prompt\": \"Q\", \"answer\": 1}\n"
      R"({"prompt": "R", "answer": 0, "choice": 3, "logprobs": [-1, -2, -3, -0.5], "prompt_tokens": 1})",
      "f.jsonl");
  ASSERT_TRUE(subjects.ok()) << subjects.error().message;
  const auto& questions = (*subjects)[0].questions;
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_EQ((*subjects)[0].preamble, "");
  EXPECT_FALSE(questions[0].reference.has_value());
  EXPECT_EQ(questions[1].reference->choice, 3U);
  EXPECT_EQ((*questions[1].reference->logprobs)[3], -0.5);
}

TEST(MmluData, PromptsThatAreWrongAreNamed) {
  const auto refusal = [](const std::string& json) { return read_prompts(json, "f.jsonl").error().message; };
  EXPECT_EQ(refusal(""), "f.jsonl: there are no records");
  EXPECT_EQ(refusal(R"({"prompt": "", "answer": 1})"), "f.jsonl:1: \"prompt\" is empty");
  EXPECT_EQ(refusal(R"({"prompt": "Q"})"), "f.jsonl:1: no \"answer\"");
  EXPECT_THAT(refusal(R"({"prompt": "Q", "answer": 4})"), StartsWith("f.jsonl:1: \"answer\" is not what was expected"));
  EXPECT_THAT(refusal(R"({"prompt": "Q", "answer": 1, "choice": 1, "logprobs": [1]})"),
              HasSubstr("\"logprobs\" has 1 numbers, expected 4"));
  EXPECT_THAT(refusal(R"({"question": "Q", "answer": 1, "choice": 1})"), HasSubstr("goes to --reference"));
}

TEST(MmluData, AReferenceChoosesTheQuestions) {
  std::vector<Subject> subjects = {*from(rows(9)), *from(rows(8))};
  subjects[1].name = "other";
  const auto added = add_reference(subjects,
                                   R"({"subject": "a_b", "question": " q5 ", "answer": 1, "choice": 2})"
                                   "\n"
                                   R"({"subject": "a_b", "question": "q6\nA. a", "answer": 2, "choice": 0})",
                                   "r.jsonl");
  ASSERT_TRUE(added.ok()) << added.error().message;
  ASSERT_EQ(subjects.size(), 1U);
  ASSERT_EQ(subjects[0].questions.size(), 2U);
  EXPECT_EQ(subjects[0].questions[0].reference->choice, 2U);
  EXPECT_EQ(subjects[0].questions[1].reference->place, "r.jsonl:2");
}

TEST(MmluData, AReferenceOfOtherQuestionsIsRefused) {
  const auto refusal = [](const std::string& json) {
    std::vector<Subject> subjects = {*from(rows(6))};
    return add_reference(subjects, json, "r.jsonl").error().message;
  };
  EXPECT_EQ(refusal(R"({"subject": "x", "question": "q5", "answer": 1, "choice": 2})"),
            "r.jsonl:1: there are no questions about \"x\"");
  EXPECT_EQ(refusal(R"({"subject": "a_b", "question": "q4", "answer": 1, "choice": 2})"),
            "r.jsonl:1: this is not the question at s.csv:6, whose turn it is");
  EXPECT_THAT(refusal(R"({"subject": "a_b", "question": "q5", "answer": 2, "choice": 2})"), HasSubstr("r.jsonl:1: "));
  const std::string good = R"({"subject": "a_b", "question": "q5", "answer": 1, "choice": 2})";
  EXPECT_EQ(refusal(good + "\n" + good), "r.jsonl:2: \"a_b\" has only 1 questions");
  EXPECT_EQ(refusal(""), "r.jsonl: there are no records");
}

}  // namespace
}  // namespace headwater::eval
