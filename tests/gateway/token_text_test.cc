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

}  // namespace
}  // namespace headwater::gateway
