#include "model/pretokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "model/pretokenizer_rules.h"

namespace headwater::model {
namespace {

using Words = std::vector<std::string>;

/// Of each rules one, whose white space is cut alike.
constexpr const char* kNames[] = {"smollm", "gpt-2", "llama-bpe", "qwen2", "qwen35", "tekken", "gpt-4o", "seed-coder"};

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names;
  for (const PretokenizerRules& rules : pretokenizer_rules()) {
    names.insert(names.end(), rules.names.begin(), rules.names.end());
  }
  return names;
}

Words split(std::string_view name, std::string_view text) {
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

TEST(Pretokenizer, CutsWordsAtCapitalsWhereAFamilyDoes) {
  EXPECT_EQ(split("gpt-4o", "camelCase HTMLPage don't"), (Words{"camel", "Case", " HTMLPage", " don't"}));
  EXPECT_EQ(split("tekken", "camelCase don't 12"), (Words{"camel", "Case", " don", "'t", " ", "1", "2"}));
  EXPECT_EQ(split("gpt-4o", "a/b//\n\u00e9\u00c9"), (Words{"a", "/b", "//\n", "\u00e9", "\u00c9"}));
  EXPECT_EQ(split("gpt-4o", "ab\u6f22\u5b57Ab"), (Words{"ab\u6f22\u5b57", "Ab"}));
}

TEST(Pretokenizer, CutsMarksAsEachFamilyDoes) {
  const std::string vowel = "\u0915\u093f";  // a letter and a mark
  EXPECT_EQ(split("qwen2", vowel + "\u0915"), (Words{"\u0915", "\u093f\u0915"}));
  EXPECT_EQ(split("qwen35", vowel + "\u0915"), (Words{vowel + "\u0915"}));
}

TEST(Pretokenizer, CutsDeepseeksWordsInStages) {
  EXPECT_EQ(split("deepseek-v3", "x = 12345;\n\u6f22\u5b57\u3042 (ok)"),
            (Words{"x", " =", " ", "123", "45", ";\n", "\u6f22\u5b57\u3042", " (", "ok", ")"}));
  EXPECT_EQ(split("deepseek-v3", ".method"), (Words{".method"}));
  EXPECT_EQ(split("deepseek-coder", "if x:\n\n  y=12"), (Words{"if", " x", ":", "\n", "\n", " ", " y", "=", "1", "2"}));
}

TEST(Pretokenizer, CutsSpacesAtTheEndOnlyWhereAFamilyDoes) {
  EXPECT_EQ(split("deepseek-llm", "ab 12, \u00c9t\u00e9 \u6f22"),
            (Words{"ab", " ", "12", ",", " \u00c9", "t", "\u00e9", " ", "\u6f22"}))
      << "its signs have the letters of ASCII among them";
  EXPECT_EQ(split("deepseek-llm", "1  \n  2  "), (Words{"1", "  ", "\n", "  ", "2", "  "}));
}

TEST(Pretokenizer, CutsSignsAndDigitsFirstWhereNoFamilyIsNamed) {
  EXPECT_EQ(split("default", "a$b 1234 I'll"), (Words{"a", "$", "b", " ", "123", "4", " I", "'", "ll"}));
  EXPECT_EQ(split("viking", "ab, c1"), (Words{"ab", ",", " c", "1"}));
}

TEST(Pretokenizer, HasRulesBehindEveryNameAndEachNameOnce) {
  std::vector<std::string_view> names = all_names();
  for (const std::string_view name : names) {
    EXPECT_FALSE(split(name, "The 3 cats aren't here.\n").empty()) << name;
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(Pretokenizer, TakesNoQuadraticTimeForAnyText) {
  // What no alternative takes, or only in part, however long it is: with n² steps this would not end.
  for (const std::string part :
       {" ", "A", "a", "\u00c9", "\u0301", "1", "\x01", "\n", "\u6f22", " 1", "\t ", "'", "aA"}) {
    std::string text;
    while (text.size() < 1 << 17) text += part;
    for (const PretokenizerRules& rules : pretokenizer_rules()) {
      EXPECT_FALSE(split(rules.names.front(), text + "x1").empty());
    }
  }
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
    for (const PretokenizerRules& rules : pretokenizer_rules()) {
      const std::string_view name = rules.names.front();
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
  EXPECT_EQ(unknown.error().message.find("unknown pre-tokenizer \"mart?ian\", expected one of llama-bpe, llama3, "),
            0U);
}

}  // namespace
}  // namespace headwater::model
