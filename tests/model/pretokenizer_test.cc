#include "model/pretokenizer.h"

#include <gtest/gtest.h>

#include <random>

namespace headwater::model {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kNames[] = {"smollm", "gpt-2", "llama-bpe", "qwen2"};

Words split(const char* name, std::string_view text) {
  Words words;
  (*Pretokenizer::by_name(name))->split(text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(Pretokenizer, CutsDigitsAsEachFamilyDoes) {
  EXPECT_EQ(split("smollm", "a 1234"), (Words{"a", " ", "1", "2", "3", "4"}));
  EXPECT_EQ(split("gpt-2", "a 1234"), (Words{"a", " 1234"}));
  EXPECT_EQ(split("llama-bpe", "a 1234"), (Words{"a", " ", "123", "4"}));
  EXPECT_EQ(split("qwen2", "a 1234"), (Words{"a", " ", "1", "2", "3", "4"}));
}

TEST(Pretokenizer, CutsContractionsAndLineEndsAsEachFamilyDoes) {
  EXPECT_EQ(split("gpt-2", "I'll I'LL"), (Words{"I", "'ll", " I", "'", "LL"}));
  EXPECT_EQ(split("llama-bpe", "I'll I'LL"), (Words{"I", "'ll", " I", "'LL"}));
  EXPECT_EQ(split("gpt-2", "a!\n\nb"), (Words{"a", "!", "\n", "\n", "b"}));
  EXPECT_EQ(split("llama-bpe", "a!\n\nb"), (Words{"a", "!\n\n", "b"}));
  EXPECT_EQ(split("qwen2", "a \n b"), (Words{"a", " \n", " b"}));
}

TEST(Pretokenizer, LeavesTheLastSpaceToTheNextWord) {
  for (const char* name : kNames) {
    EXPECT_EQ(split(name, "a   b"), (Words{"a", "  ", " b"})) << name;
    EXPECT_EQ(split(name, "a   "), (Words{"a", "   "})) << name;
  }
}

TEST(Pretokenizer, TakesAsWhiteSpaceWhatUnicodeDoes) {
  for (const char* name : kNames) {
    EXPECT_EQ(split(name, "a\u3000\u3000"), (Words{"a", "\u3000\u3000"})) << name;
    // A mark, and no space since Unicode 6.3: it takes the space before it, as a word does.
    EXPECT_EQ(split(name, "a  \u180E!"), (Words{"a", " ", " \u180E!"})) << name;
  }
}

TEST(Pretokenizer, CutsVeryLongRunsByTheSameRules) {
  const std::string spaces(1 << 20, ' ');
  for (const char* name : kNames) {
    EXPECT_EQ(split(name, spaces), Words{spaces}) << name;
    EXPECT_EQ(split(name, spaces + "x"), (Words{spaces.substr(1), " x"})) << name;
    EXPECT_EQ(split(name, std::string(1 << 20, 'e')).size(), 1U) << name;
  }
}

TEST(Pretokenizer, GivesEveryByteOnceAndInOrder) {
  std::mt19937 random(2);
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (unsigned n = random() % 50; n > 0; --n) {
      text += random() % 2 == 0 ? std::string(1, static_cast<char>(random() % 256)) : "\u00e9 1\n";
    }
    for (const char* name : kNames) {
      std::string joined;
      for (const std::string& word : split(name, text)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      ASSERT_EQ(joined, text) << name;
    }
  }
}

TEST(Pretokenizer, KnowsOtherNamesOfTheSameRulesAndListsTheKnown) {
  EXPECT_EQ(split("gpt2", "1234"), split("gpt-2", "1234"));
  EXPECT_EQ(split("llama3", "1234"), split("llama-bpe", "1234"));
  const auto unknown = Pretokenizer::by_name("mart\x1bian");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().message, "unknown pre-tokenizer \"mart?ian\" (known: smollm, gpt-2, llama-bpe, qwen2)");
}

}  // namespace
}  // namespace headwater::model
