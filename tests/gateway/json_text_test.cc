#include "gateway/json_text.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

ErrorCode code_of(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed ? ErrorCode::none : parsed.error().code;
}

TEST(JsonText, ReadsJson) {
  const auto parsed = parse_json(R"({"a": [1, -2.5e3, "\u00e9", true, null]})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ((*parsed)["a"][2], "é");
}

TEST(JsonText, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", "{", "{'a': 1}", "[1,]", "nul", "{} {}", "NaN", "Infinity", "-Infinity", "01", "\"\\ud800\""}) {
    EXPECT_EQ(code_of(text), ErrorCode::invalid_json) << text;
  }
}

TEST(JsonText, RefusesBytesThatAreNotUtf8) {
  EXPECT_EQ(code_of("\"\xff\""), ErrorCode::invalid_json);
  EXPECT_EQ(code_of("\"\xc0\xaf\""), ErrorCode::invalid_json);
  EXPECT_EQ(code_of("\"\xed\xa0\x80\""), ErrorCode::invalid_json);
  EXPECT_EQ(code_of("\"\xe4\xb8\""), ErrorCode::invalid_json);
}

TEST(JsonText, RefusesANumberBeyondADouble) {
  EXPECT_EQ(code_of("1e400"), ErrorCode::invalid_json);
  EXPECT_EQ(code_of("-1e999999999"), ErrorCode::invalid_json);
  EXPECT_EQ(code_of("1e-400"), ErrorCode::none);
}

TEST(JsonText, CapsTheDepthButNotBracketsInStrings) {
  const std::string at_limit = std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']');
  EXPECT_EQ(code_of(at_limit), ErrorCode::none);
  EXPECT_EQ(code_of("[" + at_limit + "]"), ErrorCode::invalid_json);
  EXPECT_EQ(code_of(std::string(1'000'000, '[')), ErrorCode::invalid_json);
  EXPECT_EQ(code_of("\"" + std::string(1000, '[') + "\\\"[\""), ErrorCode::none);
}

TEST(JsonText, TakesTheLastOfADuplicatedKey) {
  const auto parsed = parse_json(R"({"a": 1, "a": 2})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ((*parsed)["a"], 2);
}

TEST(JsonText, WritesBrokenUtf8AsReplacementCharacters) {
  EXPECT_EQ(to_text(Json{{"a", "x\xe4"}}), "{\"a\":\"x\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace headwater::gateway
