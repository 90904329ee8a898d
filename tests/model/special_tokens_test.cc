#include "model/special_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

namespace headwater::model {
namespace {

TEST(SpecialTokens, FindsTheLongestAtAPlace) {
  const SpecialTokens tokens({{"<a>bcd", 3, true}, {"<a>", 1, true}, {"<a>b", 2, true}, {"<b>", 4, true}});
  EXPECT_EQ(tokens.longest_at("<a>bc", true).id, 2);
  EXPECT_EQ(tokens.longest_at("<a>bc", true).length, 4U);
  EXPECT_EQ(tokens.longest_at("<a>bcd", true).id, 3);
  EXPECT_EQ(tokens.longest_at("<a", true).id, -1);
  EXPECT_EQ(tokens.longest_at("", true).id, -1);
}

TEST(SpecialTokens, PassesControlTokensOverUnlessAskedForThem) {
  const SpecialTokens tokens({{"x", 1, false}, {"xy", 2, true}});
  EXPECT_EQ(tokens.longest_at("xyz", true).id, 2);
  EXPECT_EQ(tokens.longest_at("xyz", false).id, 1);
}

TEST(SpecialTokens, HasNoneToFindWhereThereAreNone) {
  EXPECT_EQ(SpecialTokens().longest_at("a", true).id, -1);
  EXPECT_EQ(SpecialTokens().find("a"), -1);
}

TEST(SpecialTokens, FindsByTheWholeText) {
  const SpecialTokens tokens({{"abc", 7, true}});
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
  std::vector<SpecialTokens::Entry> entries;
  for (TokenId id = 0; id < 40; ++id) {
    const std::string text = word(8);
    if (texts.insert(text).second) entries.push_back({text, id, true});
  }
  const SpecialTokens tokens(std::move(entries));
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
