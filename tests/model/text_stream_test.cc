#include "model/text_stream.h"

#include <gtest/gtest.h>

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
