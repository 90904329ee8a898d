#include "tools/eval/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(const std::string& jsonl) {
  const auto documents = record_documents(jsonl, "f.jsonl", *byte_tokenizer());
  return documents ? "" : documents.error().message;
}

TEST(Document, ATextIsCutAsAPromptIs) {
  const auto tokenizer = byte_tokenizer();
  const auto document = text_document("in<|im_end|>\n", "f.txt", *tokenizer);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->tokens, tokenizer->encode("in<|im_end|>\n", {.parse_special = true}));
  EXPECT_EQ(document->tokens.size(), 3U);
  EXPECT_EQ(document->bos, -1);
  EXPECT_THAT(text_document("x", "f.txt", *tokenizer).error().message, StartsWith("f.txt: "));
}

TEST(Document, TheBeginningTokenIsKeptApart) {
  const auto tokenizer = byte_tokenizer(true);
  const auto document = text_document("ab", "f.txt", *tokenizer);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->tokens.size(), 2U);
  EXPECT_EQ(document->bos, tokenizer->bos());
  const std::string ids = "[" + std::to_string(tokenizer->bos()) + ", 64, 65]";
  const auto records = record_documents("{\"prompt\": \"ab\", \"ids\": " + ids + "}", "f.jsonl", *tokenizer);
  ASSERT_TRUE(records.ok()) << records.error().message;
  EXPECT_EQ((*records)[0].tokens, document->tokens);
  EXPECT_EQ((*records)[0].bos, tokenizer->bos());
}

TEST(Document, RecordsBringTheirReference) {
  const auto documents = record_documents(
      "{\"prompt\": \"abc\"}\n"
      R"({"ids": [64], "mean_nll": 1.5, "top10_ids": [7, 8], "top10_logprobs": [-1, -2.5], "more": 1})",
      "f.jsonl", *byte_tokenizer());
  ASSERT_TRUE(documents.ok()) << documents.error().message;
  ASSERT_EQ(documents->size(), 2U);
  EXPECT_EQ((*documents)[0].tokens, (std::vector<TokenId>{64, 65, 66}));
  EXPECT_FALSE((*documents)[0].mean_nll.has_value());
  EXPECT_EQ((*documents)[1].place, "f.jsonl:2");
  EXPECT_EQ((*documents)[1].mean_nll, 1.5);
  EXPECT_EQ((*documents)[1].top_ids, (std::vector<TokenId>{7, 8}));
  EXPECT_EQ((*documents)[1].top_logprobs, (std::vector<double>{-1, -2.5}));
}

TEST(Document, MistakesNameLineAndField) {
  EXPECT_EQ(refusal("{}"), "f.jsonl:1: no \"prompt\"");
  EXPECT_EQ(refusal("\n{\"prompt\": \"\"}"), "f.jsonl:2: the text is empty");
  EXPECT_THAT(refusal(R"({"ids": [64, 99999]})"), HasSubstr("f.jsonl:1: \"ids[1]\" is no token of the model"));
  EXPECT_THAT(refusal(R"({"ids": [64, 65], "prompt": "ac"})"),
              AllOf(StartsWith("f.jsonl:1: "), HasSubstr("from ids[1] on")));
  EXPECT_THAT(refusal(R"({"prompt": "ab", "mean_nll": -1})"), HasSubstr("\"mean_nll\" is less than 0"));
  EXPECT_THAT(refusal(R"({"prompt": "ab", "top10_ids": [1]})"), HasSubstr("no \"top10_logprobs\""));
  EXPECT_THAT(refusal(R"({"prompt": "ab", "top10_ids": [1], "top10_logprobs": []})"), HasSubstr("different lengths"));
  EXPECT_EQ(refusal("\n"), "f.jsonl: there are no records");
}

}  // namespace
}  // namespace headwater::eval
