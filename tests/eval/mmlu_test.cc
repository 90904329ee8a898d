#include "tools/eval/mmlu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::HasSubstr;

McQuestion question(std::string text, std::size_t answer) { return {"f.csv:1", std::move(text), answer, std::nullopt}; }

TEST(Mmlu, ScoresEveryTokenOfAChoice) {
  // The byte tokenizer cuts " A" into a space and a letter.
  const auto tokenizer = byte_tokenizer();
  HashModel model;
  const auto asker = McAsker::make(*tokenizer);
  ASSERT_TRUE(asker.ok());
  EXPECT_EQ(asker->longest_choice(), 2U);
  Subject subject{"s", std::string(100, 'x'), {question("Q\nAnswer:", 0)}};
  const auto prompt = asker->cut(subject, subject.questions[0]);
  ASSERT_TRUE(prompt.ok());
  EXPECT_EQ(prompt->tokens, tokenizer->encode(subject.preamble + "Q\nAnswer:", {}));
  Scorer scorer(model);
  scorer.reset({"0"}, prompt->tokens.size() + 2);
  const auto sums = asker->ask(scorer, *prompt);
  ASSERT_TRUE(sums.ok());
  for (std::size_t i = 0; i < kChoices; ++i) {
    auto tokens = prompt->tokens;
    double by_hand = 0;
    for (const TokenId token : tokenizer->encode(std::string(" ") + "ABCD" [i], {})) {
      by_hand += model.logprob(tokens, token);
      tokens.push_back(token);
    }
    EXPECT_NEAR((*sums)[i], by_hand, 1e-4) << i;
  }
}

TEST(Mmlu, WhatTwoQuestionsHaveInCommonIsComputedOnce) {
  const auto tokenizer = byte_tokenizer();
  HashModel model;
  const auto asker = McAsker::make(*tokenizer);
  Subject subject{"s", std::string(320, 'x'), {question("one\nAnswer:", 0), question("two\nAnswer:", 0)}};
  Scorer scorer(model);
  scorer.reset({"0"}, 400);
  ASSERT_TRUE(asker->ask(scorer, *asker->cut(subject, subject.questions[0])).ok());
  const auto before = scorer.computed();
  const auto prompt = *asker->cut(subject, subject.questions[1]);
  ASSERT_TRUE(asker->ask(scorer, prompt).ok());
  // A choice after the other, each with the prompt's unfinished block.
  EXPECT_LE(scorer.computed() - before, 5 * 32U);
}

TEST(Mmlu, APromptOfAnotherLengthThanTheReferencesIsRefused) {
  const auto tokenizer = byte_tokenizer();
  Subject subject{"s", "", {question("abc", 0)}};
  subject.questions[0].reference = McReference{"r.jsonl:7", 0, std::nullopt, 3};
  const auto asker = McAsker::make(*tokenizer);
  EXPECT_TRUE(asker->cut(subject, subject.questions[0]).ok());
  subject.questions[0].reference->prompt_tokens = 4;
  EXPECT_THAT(asker->cut(subject, subject.questions[0]).error().message,
              HasSubstr("r.jsonl:7: \"prompt_tokens\" is 4, and the prompt of f.csv:1 has 3 tokens"));
}

TEST(Mmlu, UnusableLogitsAreAnErrorWithTheirPlace) {
  const auto tokenizer = byte_tokenizer();
  TableModel model(tokenizer->vocab_size(), {{std::numeric_limits<float>::quiet_NaN()}});
  Scorer scorer(model);
  scorer.reset({"0"}, 16);
  Subject subject{"s", "", {question("abc", 0)}};
  const auto asker = McAsker::make(*tokenizer);
  EXPECT_THAT(asker->ask(scorer, *asker->cut(subject, subject.questions[0])).error().message,
              HasSubstr("f.csv:1: the model gave no usable logits"));
}

TEST(Mmlu, TalliesByHand) {
  McTally tally;
  EXPECT_FALSE(tally.accuracy().has_value());
  McQuestion first = question("", 2);
  first.reference = McReference{"r:1", 2, std::array<double, kChoices>{-1, -2, -0.5, -3}, std::nullopt};
  McQuestion second = question("", 1);
  second.reference = McReference{"r:2", 1, std::nullopt, std::nullopt};
  tally.add(first, {-1, -2, -0.25, -3.25}, 2);      // right, as before, as the reference
  tally.add(second, {-1, -2, -3, -4}, 1);           // wrong, not as before, not as the reference
  tally.add(question("", 0), {-1, -1, -2, -2}, 0);  // a tie: the first
  EXPECT_EQ(tally.questions(), 3U);
  EXPECT_EQ(tally.right(), 2U);
  EXPECT_DOUBLE_EQ(*tally.accuracy(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(*tally.same_as_first(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(*tally.same_as_reference(), 1.0 / 2);
  EXPECT_DOUBLE_EQ(*tally.difference(), 0.5 / 4);
}

}  // namespace
}  // namespace headwater::eval
