#include "model/text_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>

namespace headwater::model {
namespace {

TEST(TextStream, SendsWholeCharactersOnly) {
  TextStream stream({});
  EXPECT_EQ(stream.push("a\xE2\x82", true).text, "a");
  EXPECT_EQ(stream.push("\xAC", true).text, "\xE2\x82\xAC");
  EXPECT_EQ(stream.push("\xF0\x9F", true).text, "");
  EXPECT_EQ(stream.flush(), "\xEF\xBF\xBD");
}

TEST(TextStream, ReplacesBytesThatAreNoUtf8) {
  TextStream stream({});
  EXPECT_EQ(stream
                .push("a\xFF"
                      "b\xC0\x80",
                      true)
                .text,
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(stream.push("\xED\xA0\x80", true).text, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
}

TEST(TextStream, StopsAcrossTokenBordersAndSendsNothingOfTheStopString) {
  TextStream stream({"END"});
  EXPECT_EQ(stream.push("hello E", true).text, "hello ");
  EXPECT_EQ(stream.push("N", true).text, "");
  const auto delta = stream.push("D and more", true);
  EXPECT_TRUE(delta.stopped);
  EXPECT_EQ(delta.text, "");
  EXPECT_EQ(delta.stop_match, "END");
}

TEST(TextStream, SendsWhatWasHeldBackOnceItCannotBeAStopStringAnyMore) {
  TextStream stream({"END"});
  EXPECT_EQ(stream.push("xEN", true).text, "x");
  EXPECT_EQ(stream.push("EN", true).text, "EN");
  EXPECT_EQ(stream.flush(), "EN");
}

TEST(TextStream, TakesTheEarliestOfSeveralStopStrings) {
  TextStream stream({"world", "lo"});
  const auto delta = stream.push("hello world", true);
  EXPECT_TRUE(delta.stopped);
  EXPECT_EQ(delta.text, "hel");
  EXPECT_EQ(delta.stop_match, "lo");
}

TEST(TextStream, TakesTheStopStringThatIsCompleteFirstAndOfThoseTheLongest) {
  EXPECT_EQ(TextStream({"abcd", "bc"}).push("abcd", true).text, "a");
  const auto delta = TextStream({"c", "bc", "abcx"}).push("abc", true);
  EXPECT_EQ(delta.text, "a");
  EXPECT_EQ(delta.stop_match, "bc");
}

TEST(TextStream, StopsAtAStringThatBeginsTooEarlyAndEndsInTime) {
  TextStream stream({"END"});
  EXPECT_EQ(stream.push("an END E", false).text, "an END ");
  EXPECT_EQ(stream.push("N", false).text, "");
  const auto delta = stream.push("D more", true);
  EXPECT_TRUE(delta.stopped);
  EXPECT_EQ(delta.text, "");
  EXPECT_EQ(delta.stop_match, "END");
}

TEST(TextStream, PassesOverAStringThatEndsTooEarlyThoughItsTextIsHeldBack) {
  TextStream stream({"aba", "abac"});
  EXPECT_EQ(stream.push("aba", false).text, "");
  const auto delta = stream.push("x", true);
  EXPECT_FALSE(delta.stopped);
  EXPECT_EQ(delta.text, "abax");
  TextStream overlapping({"aba"});
  EXPECT_EQ(overlapping.push("aba", false).text, "ab");
  EXPECT_TRUE(overlapping.push("ba", true).stopped);
}

/// What a stream should make of a whole text: cut where the first stop string is complete that ends after `early`.
std::optional<std::string> cut(const std::string& text, const std::vector<std::string>& stops, std::size_t early) {
  for (std::size_t end = early + 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return std::nullopt;
}

TEST(TextStream, GivesTheSameTextWhereverTokensEnd) {
  std::mt19937 random(11);
  const std::vector<std::string> letters = {"a", "b", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  const auto word = [&](std::size_t most) {
    std::string made;
    for (std::size_t n = 1 + random() % most; n > 0; --n) made += letters[random() % letters.size()];
    return made;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(random() % 4);
    for (std::string& stop : stops) stop = word(5);
    const std::string text = word(30);
    TextStream stream(stops);
    std::string sent;
    bool ended = false;
    std::size_t early = round % 2 == 0 ? 0 : random() % text.size();  // too early to stop, as min_tokens has it
    for (std::size_t at = 0; at < text.size() && !ended;) {
      const std::size_t length = 1 + random() % 6;
      const bool may_stop = at >= early;
      if (!may_stop) early = std::max(early, std::min(at + length, text.size()));
      const auto delta = stream.push(std::string_view(text).substr(at, length), may_stop);
      sent += delta.text;
      ended = delta.stopped;
      at += length;
    }
    if (!ended) sent += stream.flush();
    const auto expected = cut(text, stops, early);
    ASSERT_EQ(ended, expected.has_value());
    ASSERT_EQ(sent, expected.value_or(text));
    stopped += ended ? 1 : 0;
  }
  EXPECT_GT(stopped, 500);
}

TEST(TextStream, SendsAtOnceWhatCannotBelongToAStopString) {
  TextStream stream({"aab"});
  EXPECT_EQ(stream.push("aaa", true).text, "a");  // "aa" may go on to "aab"
  EXPECT_EQ(stream.push("c", true).text, "aac");
  EXPECT_EQ(stream.flush(), "");
}

TEST(TextStream, FlushesBytesOfACharacterThatNeverCame) {
  TextStream stream({"x"});
  EXPECT_EQ(stream.push("a\xE2", true).text, "a");
  EXPECT_EQ(stream.push("\x82", true).text, "");
  EXPECT_EQ(stream.flush(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.flush(), "");
}

TEST(TextStream, DoesNotStopWhileItMayNot) {
  TextStream stream({"a"});
  EXPECT_EQ(stream.push("banana", false).text, "banana");
  EXPECT_TRUE(stream.push("a", true).stopped);
}

TEST(TextStream, FindsAStopStringThatEndsInACharacterOfSeveralBytes) {
  TextStream stream({"\xE2\x82\xAC"});
  EXPECT_FALSE(stream.push("1\xE2", true).stopped);
  EXPECT_TRUE(stream.push("\x82\xAC", true).stopped);
}

}  // namespace
}  // namespace headwater::model
