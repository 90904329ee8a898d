#include "model/jinja/json_reader.h"

#include <gtest/gtest.h>

#include "model/jinja/print.h"

namespace headwater::model::jinja {
namespace {

/// Read and written again, or "error: " with what is said.
std::string back(std::string_view json) {
  Budget budget{Limits()};
  const auto value = read_json(json, nullptr);
  return value ? to_json(*value, {}, budget).bytes() : "error: " + value.error().message;
}

TEST(JsonReader, ReadsWhatWasWrittenInTheOrderOfItsKeys) {
  for (const char* json : {R"({"z": 1, "a": [true, false, null, 1.5, -2, "x"], "m": {}})", "[]", "\"é🙂\"",
                           "9223372036854775807", "[[[]]]", "-0.0", "1e+100"}) {
    EXPECT_EQ(back(json), json);
  }
  EXPECT_EQ(back(" [ 1 ,\n2 ] "), "[1, 2]");
  EXPECT_EQ(back(R"("\u00e9\ud83d\ude42\n\t\"\\\/\b\f")"), R"("é🙂\n\t\"\\/\b\f")");
  EXPECT_EQ(back(R"({"a": 1, "b": 2, "a": 3})"), R"({"a": 3, "b": 2})");
  EXPECT_EQ(back("92233720368547758080"), "9.223372036854776e+19");
}

TEST(JsonReader, NamesThePlaceOfAMistake) {
  EXPECT_EQ(back("[1, }"), "error: no JSON: at byte 4 expected a value");
  EXPECT_EQ(back("[1 2]"), "error: no JSON: at byte 3 expected \",\" or \"]\"");
  EXPECT_EQ(back("{1: 2}"), "error: no JSON: at byte 1 expected a key");
  EXPECT_EQ(back("1 2"), "error: no JSON: at byte 2 expected the end of the text");
  for (const char* json : {"", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "01", "1.", "1e",
                           "-", "nul", "[", "{\"a\"", "{\"a\":", "1e999", "\"\n\""}) {
    EXPECT_TRUE(back(json).starts_with("error: ")) << json;
  }
}

TEST(JsonReader, RefusesWhatNestsDeeply) {
  const std::string deep(100'000, '[');
  EXPECT_NE(back(deep).find("expected less nesting"), std::string::npos);
}

TEST(JsonReader, TakesNoLongForKeysThatAreMany) {
  std::string json = "{";
  for (int i = 0; i < 100'000; ++i) json += "\"" + std::to_string(i) + "\":0,";
  json += "\"x\":1}";
  const auto value = read_json(json, nullptr);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->dict().entries().size(), 100'001U);
  EXPECT_EQ(value->dict().find("x")->whole(), 1);
}

}  // namespace
}  // namespace headwater::model::jinja
