#include "model/vocabulary.h"

#include <gtest/gtest.h>

#include "tests/model/tiny_sentencepiece.h"

namespace headwater::model {
namespace {

using test::PieceRow;

/// Rows of a byte-level vocabulary, without merges.
test::GgufWriter byte_level(const std::vector<PieceRow>& rows) {
  std::vector<std::string> texts;
  std::vector<std::int32_t> kinds;
  for (const PieceRow& row : rows) {
    texts.push_back(row.text);
    kinds.push_back(row.kind);
  }
  test::GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "gpt2")
      .add_strings("tokenizer.ggml.tokens", texts)
      .add_i32s("tokenizer.ggml.token_type", kinds)
      .add_strings("tokenizer.ggml.merges", {});
  return writer;
}

std::string message(const test::GgufWriter& writer) {
  const auto loaded = test::load_tokenizer(writer);
  return loaded.ok() ? "fine" : loaded.error().message;
}

TEST(Vocabulary, TakesTagsOfHtmlForTextWhereTheFileBeginsAndEndsTextsOtherwise) {
  const std::vector<PieceRow> rows = {{"<s>", 0, 4}, {"</s>", 0, 4}, {"<bos>", 0, 3}, {"<eos>", 0, 3}};
  const auto html = test::load_tokenizer(
      byte_level(rows).add_u32("tokenizer.ggml.bos_token_id", 2).add_u32("tokenizer.ggml.eos_token_id", 3));
  EXPECT_FALSE((*html)->is_control(0));
  EXPECT_FALSE((*html)->is_end(1));
  EXPECT_TRUE((*html)->is_end(3));
  EXPECT_EQ((*html)->encode("</s>", {}), std::vector<TokenId>{1});
  const auto marks = test::load_tokenizer(
      byte_level(rows).add_u32("tokenizer.ggml.bos_token_id", 0).add_u32("tokenizer.ggml.eos_token_id", 1));
  EXPECT_TRUE((*marks)->is_control(0));
  EXPECT_TRUE((*marks)->is_end(1));
  EXPECT_TRUE((*marks)->encode("</s>", {}).empty()) << "no text ends a turn";
}

TEST(Vocabulary, EndsAnAnswerAtEveryTokenThatTheFileNamesForIt) {
  const std::vector<PieceRow> rows = {{"a", 0, 1}, {"b", 0, 1}, {"c", 0, 1}, {"d", 0, 1}};
  const auto tokenizer = test::load_tokenizer(byte_level(rows)
                                                  .add_u32("tokenizer.ggml.eos_token_id", 0)
                                                  .add_u32("tokenizer.ggml.eot_token_id", 1)
                                                  .add_u32("tokenizer.ggml.eom_token_id", 2));
  EXPECT_TRUE((*tokenizer)->is_end(0));
  EXPECT_TRUE((*tokenizer)->is_end(1));
  EXPECT_TRUE((*tokenizer)->is_end(2));
  EXPECT_FALSE((*tokenizer)->is_end(3));
}

TEST(Vocabulary, HasNoSpecialTokensByDefaultThatItIsTooSmallFor) {
  const auto tokenizer = test::load_tokenizer(test::sentencepiece_file({{"a"}}));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->bos(), -1);
  EXPECT_FALSE((*tokenizer)->adds_bos());
}

TEST(Vocabulary, SaysWhichTokenIsWrongInEitherKindOfTokenizer) {
  for (const bool pieces : {false, true}) {
    const auto file = [&](const std::vector<PieceRow>& rows) {
      return pieces ? test::sentencepiece_file(rows) : byte_level(rows);
    };
    EXPECT_EQ(message(file({{"a"}, {""}, {""}})), "fine") << "empty ones are never found";
    EXPECT_NE(message(file({{"a"}, {"a"}})).find("token 1 \"a\" is in the vocabulary twice, expected each token once"),
              std::string::npos);
    EXPECT_NE(message(file({{"a", 0, 9}})).find("token 0 is of kind 9, expected 0 to 6"), std::string::npos);
    EXPECT_NE(message(file({{std::string(kMostTokenBytes + 1, 'a'), 0, 3}})).find("bytes, expected at most 16384"),
              std::string::npos);
    EXPECT_EQ(message(file({{std::string(kMostTokenBytes, 'a'), 0, 3}})), "fine");
    EXPECT_NE(
        message(file({{"a"}}).add_u32("tokenizer.ggml.eot_token_id", 5)).find("eot_token_id\" is 5, expected an id"),
        std::string::npos);
    EXPECT_NE(message(file({{"a"}}).add_u32("tokenizer.ggml.add_eos_token", 5)).find("add_eos_token"),
              std::string::npos);
  }
}

TEST(Vocabulary, RefusesMergesThatLeadNowhereOrRoundAndRound) {
  const auto with = [](const std::vector<std::string>& merges) {
    test::GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "gpt2").add_strings("tokenizer.ggml.tokens", {"a", "b", "ab", ""});
    return message(writer.add_strings("tokenizer.ggml.merges", merges));
  };
  EXPECT_EQ(with({"a b"}), "fine");
  EXPECT_NE(with({"b a"}).find("merge 0 \"b a\" names a token that is not in the vocabulary"), std::string::npos);
  EXPECT_NE(with({"a "}).find("merge 0 \"a \" names a token"), std::string::npos) << "a and nothing are a again";
  EXPECT_NE(with({" a"}).find("merge 0"), std::string::npos);
  EXPECT_NE(with({""}).find("merge 0 \"\" is no merge"), std::string::npos);
  EXPECT_NE(with({"a b", "a b"}).find("is in the list twice"), std::string::npos);
}

}  // namespace
}  // namespace headwater::model
