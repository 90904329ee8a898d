#include "model/bpe_encoding.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/model/sliced.h"
#include "tests/model/tiny_tokenizer.h"

namespace headwater::model {
namespace {

std::string random_text(std::mt19937& random, std::size_t parts) {
  static const std::string kParts[] = {"the",    " other", "<|im_end|>", "<|im_start|>", "\xff",
                                       "\u00e9", " ",      "12345",      "\n\n",         "!"};
  std::string text;
  for (std::size_t i = 0; i < parts; ++i) text += kParts[random() % std::size(kParts)];
  return text;
}

TEST(BytePairEncoding, GivesTheSameIdsHoweverItIsSliced) {
  const auto tokenizer = test::tiny_tokenizer();
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, random() % 40);
    const EncodeOptions options{.add_special = round % 2 == 0, .parse_special = round % 3 == 0};
    ASSERT_EQ(test::sliced(*tokenizer, text, options, 1 + random() % 9), tokenizer->encode(text, options)) << text;
  }
}

TEST(BytePairEncoding, GivesAWordThatComesAgainTheSameIds) {
  const auto tokenizer = test::tiny_tokenizer();
  // What is remembered of words in a long text is what each of them gives alone.
  std::string text;
  std::vector<TokenId> expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string word = i % 3 == 0 ? "the!" : i % 3 == 1 ? "\nother" : "<ethe";
    text += word;
  }
  for (int i = 0; i < 1000; i += 3) {
    const auto ids = tokenizer->encode(std::string("the!\nother<ethe").substr(0, i + 3 > 1000 ? 4 : 15), {});
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer->encode(text, {}), expected);
}

TEST(BytePairEncoding, StopsAfterASliceWhateverTheTextIs) {
  const auto tokenizer = test::tiny_tokenizer();
  for (const std::string& text : {std::string(100'000, 'a'), std::string(100'000, ' '), std::string(100'000, '1')}) {
    const auto encoding = tokenizer->begin_encoding(text, {});
    std::size_t slices = 1;
    while (!encoding->advance(1000)) ++slices;
    EXPECT_GE(slices, 50U);
    EXPECT_LE(slices, 500U);
  }
}

TEST(BytePairEncoding, RulesOutByLengthOnlyWhatHasMoreTokens) {
  const auto tokenizer = test::tiny_tokenizer();
  std::mt19937 random(12);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, random() % 40);
    const std::size_t tokens = tokenizer->encode(text, {.parse_special = true}).size();
    EXPECT_LE(text.size(), tokenizer->max_bytes_for(tokens)) << text;
  }
  EXPECT_LT(tokenizer->max_bytes_for(100), 10'000U);
}

}  // namespace
}  // namespace headwater::model
