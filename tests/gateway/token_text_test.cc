#include "gateway/token_text.h"

#include <gtest/gtest.h>

#include <cmath>

namespace headwater::gateway {
namespace {

TEST(TokenText, KnowsUtf8) {
  for (const char* text : {"", "a", "é", "日本", "😀", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* text : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                           "\xf5\x80\x80\x80", "\xf0\x9f\x98", "a\xff", "\xe6\x97\x41"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(TokenText, CountsCharactersAcrossTokens) {
  EXPECT_EQ(count_characters("aé日😀"), 4U);
  EXPECT_EQ(count_characters("\xe6\x97") + count_characters("\xa5"), 1U);
}

TEST(TokenText, NamesPartsOfCharactersByTheirBytes) {
  EXPECT_EQ(token_name({7, 0, "é"}, false), "é");
  EXPECT_EQ(token_name({7, 0, "\xc3"}, false), "bytes:\\xc3");
  EXPECT_EQ(token_name({7, 0, "é"}, true), "token_id:7");
}

TEST(TokenText, HasANumberForAnImpossibleToken) {
  EXPECT_EQ(finite_logprob(-INFINITY), -9999.0);
  EXPECT_EQ(finite_logprob(-0.5F), -0.5);
}

/// Where each token begins, with the whole text there.
std::vector<std::size_t> offsets(const std::string& text, const std::vector<std::string>& tokens) {
  TextOffsets offsets;
  offsets.add_text(text);
  std::vector<std::size_t> all;
  for (const std::string& token : tokens) all.push_back(*offsets.next(token, true));
  return all;
}

TEST(TokenText, FindsWhereTokensBeginInCharacters) {
  using Places = std::vector<std::size_t>;
  EXPECT_EQ(offsets("né日", {"n", "\xc3\xa9", "\xe6", "\x97\xa5"}), (Places{0, 1, 2, 2}));
  EXPECT_EQ(offsets("ab", {"<s>", "a", "b", "<|end|>"}), (Places{0, 0, 1, 2}))
      << "the text has no BOS and no end token";
  EXPECT_EQ(offsets("ab", {" a", "b"}), (Places{0, 1})) << "a vocabulary with a space in front of the first word";
  EXPECT_EQ(offsets("ab", {"a", "bEN", "D", "x"}), (Places{0, 1, 2, 2})) << "a stop string was cut off";
  EXPECT_EQ(offsets("a\xEF\xBF\xBDz", {"a", "\xff", "z"}), (Places{0, 1, 2})) << "what is no UTF-8 is shown as U+FFFD";
  EXPECT_EQ(offsets("", {"a"}), (Places{0}));
}

TEST(TokenText, WaitsForTextThatIsHeldBack) {
  TextOffsets offsets;
  EXPECT_FALSE(offsets.next("E", false).has_value());
  offsets.add_text("E");
  EXPECT_EQ(offsets.next("E", false), 0U);
  offsets.add_text("N");
  EXPECT_FALSE(offsets.next("NDx", false).has_value());
  offsets.add_text("Dx");
  EXPECT_EQ(offsets.next("NDx", false), 1U);
  EXPECT_EQ(offsets.next("END", true), 4U);
}

}  // namespace
}  // namespace headwater::gateway
