#include "model/special_tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace headwater::model {
namespace {

TEST(SpecialTokens, FindsTheLongestAtAPlace) {
  SpecialTokens tokens;
  tokens.add("<a>", 1, true);
  tokens.add("<a>b", 2, true);
  tokens.add("<a>bcd", 3, true);
  EXPECT_EQ(tokens.longest_at("<a>bc", true).id, 2);
  EXPECT_EQ(tokens.longest_at("<a>bc", true).length, 4U);
  EXPECT_EQ(tokens.longest_at("<a>bcd", true).id, 3);
  EXPECT_EQ(tokens.longest_at("<a", true).id, -1);
  EXPECT_EQ(tokens.longest_at("", true).id, -1);
}

TEST(SpecialTokens, PassesControlTokensOverUnlessAskedForThem) {
  SpecialTokens tokens;
  tokens.add("x", 1, false);
  tokens.add("xy", 2, true);
  EXPECT_EQ(tokens.longest_at("xyz", true).id, 2);
  EXPECT_EQ(tokens.longest_at("xyz", false).id, 1);
}

TEST(SpecialTokens, FindsByTheWholeText) {
  SpecialTokens tokens;
  tokens.add("abc", 7, true);
  EXPECT_EQ(tokens.find("abc"), 7);
  EXPECT_EQ(tokens.find("ab"), -1);
  EXPECT_EQ(tokens.find("abcd"), -1);
  EXPECT_EQ(tokens.find(""), -1);
}

TEST(SpecialTokens, AgreesWithTryingEachOfThem) {
  std::mt19937 random(4);
  const auto word = [&](std::size_t most) {
    std::string made;
    for (std::size_t n = 1 + random() % most; n > 0; --n) made += static_cast<char>(0xFE + random() % 2);
    return made;
  };
  std::set<std::string> texts;
  SpecialTokens tokens;
  for (TokenId id = 0; id < 40; ++id) {
    const std::string text = word(8);
    if (texts.insert(text).second) tokens.add(text, id, true);
  }
  for (int round = 0; round < 500; ++round) {
    const std::string text = word(12);
    std::size_t longest = 0;
    for (const std::string& special : texts) {
      if (text.starts_with(special)) longest = std::max(longest, special.size());
    }
    EXPECT_EQ(tokens.longest_at(text, true).length, longest);
  }
}

}  // namespace
}  // namespace headwater::model
