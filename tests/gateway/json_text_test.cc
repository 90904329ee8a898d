#include "gateway/json_text.h"

#include <gtest/gtest.h>

#include "tests/support/limited_child.h"

namespace headwater::gateway {
namespace {

constexpr std::size_t kMany = 1000;

ErrorCode code_of(std::string_view text) {
  const auto parsed = parse_json(text, kMany);
  return parsed ? ErrorCode::none : parsed.error().code;
}

TEST(JsonText, ReadsJson) {
  const auto parsed = parse_json(R"({"a": [1, -2.5e3, "\u00e9", true, null]})", kMany);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ((*parsed)["a"][2], "é");
  EXPECT_EQ(to_text(*parsed), R"({"a":[1,-2500.0,"é",true,null]})");
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
  const auto parsed = parse_json(R"({"a": 1, "a": 2})", kMany);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ((*parsed)["a"], 2);
}

TEST(JsonText, CountsValuesWhereverTheyStand) {
  EXPECT_TRUE(parse_json("7", 1).ok());
  EXPECT_TRUE(parse_json(R"({"a": [1, 2], "b": {}})", 5).ok());
  for (const char* text : {R"({"a": [1, 2], "b": {}, "c": ""})", R"([[], {}, null, true, 1.5])"}) {
    const auto refused = parse_json(text, 5);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::payload_too_large);
  }
}

TEST(JsonText, NamesTheFieldInWhichTooManyValuesStand) {
  const auto refused = parse_json(R"({"model": "m", "tokens": [[1, 2], {"x": 3}, 4]})", 6);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().param, "tokens");
  EXPECT_EQ(refused.error().message, "\"tokens\" is too long: the JSON has more than 6 values, which no request needs");
  EXPECT_EQ(parse_json("[1, 2]", 2).error().param, "");
}

/// "[0,0,…]"
std::string zeros(std::size_t n) {
  std::string text(2 * n + 1, ',');
  for (std::size_t i = 1; i < text.size(); i += 2) text[i] = '0';
  text.front() = '[';
  text.back() = ']';
  return text;
}

TEST(JsonText, FindsTooManyValuesBeforeTheyTakeMemory) {
  if (!test::kAddressesCanBeLimited) GTEST_SKIP() << "a sanitizer needs addresses of its own";
  const std::string text = zeros(3'750'000);
  const auto refused = [&] { return parse_json(text, 100'000).ok() ? 1 : 0; };
  EXPECT_EQ(test::with_addresses(16 << 20U, refused), 0);
}

TEST(JsonText, LeavesBadAllocToItsCallerWhereverMemoryEnds) {
  if (!test::kAddressesCanBeLimited) GTEST_SKIP() << "a sanitizer needs addresses of its own";
  constexpr std::size_t kValues = 1 << 20U;
  const std::string text = zeros(kValues);
  const auto parse = [&] {
    try {
      return parse_json(text, 2 * kValues).ok() ? 1 : 0;
    } catch (const std::bad_alloc&) {
      return 2;
    }
  };
  // 16 MiB of values, half of that again while their array grows; in between, none is left to destroy them with.
  for (const std::uint64_t mib : {12, 26, 30}) {
    const int came = test::with_addresses(mib << 20U, parse);
    EXPECT_TRUE(came == 1 || came == 2) << came << " with " << mib << " MiB";
  }
  EXPECT_EQ(test::with_addresses(64 << 20U, parse), 1);
}

TEST(JsonText, WritesBrokenUtf8AsReplacementCharacters) {
  EXPECT_EQ(to_text(Json{{"a", "x\xe4"}}), "{\"a\":\"x\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace headwater::gateway
