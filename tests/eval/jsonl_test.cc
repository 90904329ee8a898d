#include "tools/eval/jsonl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::eval {
namespace {

using testing::ElementsAre;

/// The message of the first mistake that `read` makes of the one record; empty: none.
std::string mistake(const std::string& json, const std::function<void(Record&)>& read) {
  const auto done = read_jsonl(json, "f.jsonl", [&](Record& record) -> Result<void> {
    read(record);
    return record.error() ? Result<void>(*record.error()) : Result<void>();
  });
  return done ? "" : done.error().message;
}

TEST(Jsonl, CountsLinesAndPassesOverEmptyOnes) {
  std::vector<std::string> places;
  const auto read = read_jsonl("{}\n\n \r\n{}", "f.jsonl", [&](Record& record) -> Result<void> {
    places.push_back(record.place());
    return {};
  });
  EXPECT_TRUE(read.ok());
  EXPECT_THAT(places, ElementsAre("f.jsonl:1", "f.jsonl:4"));
}

TEST(Jsonl, NamesTheLineThatIsNoObject) {
  const auto nothing = [](Record&) {};
  EXPECT_EQ(mistake("{}\n{\"a\": 1", nothing), "f.jsonl:2: this line is not JSON");
  EXPECT_EQ(mistake("[1]", nothing), "f.jsonl:1: this line is not a JSON object");
  EXPECT_EQ(mistake(std::string(100000, '['), nothing), "f.jsonl:1: this line is not JSON");
}

TEST(Jsonl, ReadsEachKind) {
  EXPECT_EQ(mistake(R"({"t": "x", "i": 3, "n": [1, -0.5], "d": 2e3, "ids": [0, 9]})",
                    [](Record& record) {
                      EXPECT_EQ(record.text("t"), "x");
                      EXPECT_EQ(record.integer("i", 3, 3), 3);
                      EXPECT_EQ(record.number("d"), 2000);
                      EXPECT_THAT(record.numbers("n"), ElementsAre(1, -0.5));
                      EXPECT_THAT(record.tokens("ids", 10), ElementsAre(0, 9));
                      EXPECT_FALSE(record.has("x"));
                    }),
            "");
}

TEST(Jsonl, ReadsListsOfLists) {
  const auto read = [](Record& record) {
    EXPECT_THAT(record.number_lists("n"), ElementsAre(ElementsAre(1, -0.5), ElementsAre()));
    EXPECT_THAT(record.token_lists("ids", 10), ElementsAre(ElementsAre(0), ElementsAre(9, 1)));
  };
  EXPECT_EQ(mistake(R"({"n": [[1, -0.5], []], "ids": [[0], [9, 1]]})", read), "");
  const auto numbers = [](Record& record) { record.number_lists("n"); };
  EXPECT_EQ(mistake(R"({"n": [[1], 2]})", numbers), "f.jsonl:1: \"n[1]\" is not what was expected, an array");
  EXPECT_EQ(mistake(R"({"n": [[1], [2, ""]]})", numbers), "f.jsonl:1: \"n[1][1]\" is not what was expected, a number");
  EXPECT_EQ(mistake(R"({"ids": [[1], [2, 10]]})", [](Record& record) { record.token_lists("ids", 10); }),
            "f.jsonl:1: \"ids[1][1]\" is no token of the model, whose vocabulary has 10");
}

TEST(Jsonl, SaysWhichFieldIsWrongAndWhatWasExpected) {
  const auto text = [](Record& record) { record.text("a"); };
  EXPECT_EQ(mistake("{}", text), "f.jsonl:1: no \"a\"");
  EXPECT_EQ(mistake(R"({"a": 1})", text), "f.jsonl:1: \"a\" is not what was expected, a string");
  const auto integer = [](Record& record) { record.integer("a", 0, 3); };
  for (const char* json : {R"({"a": 4})", R"({"a": -1})", R"({"a": 1.0})", R"({"a": "1"})",
                           R"({"a": 18446744073709551615})", R"({"a": 1e300})"}) {
    EXPECT_EQ(mistake(json, integer), "f.jsonl:1: \"a\" is not what was expected, a whole number from 0 to 3") << json;
  }
  EXPECT_EQ(mistake(R"({"a": null})", [](Record& record) { record.number("a"); }),
            "f.jsonl:1: \"a\" is not what was expected, a number");
  EXPECT_EQ(mistake(R"({"a": [1, "2"]})", [](Record& record) { record.numbers("a"); }),
            "f.jsonl:1: \"a[1]\" is not what was expected, a number");
  EXPECT_EQ(mistake(R"({"a": {}})", [](Record& record) { record.numbers("a"); }),
            "f.jsonl:1: \"a\" is not what was expected, an array");
  for (const char* json : {R"({"a": [10]})", R"({"a": [-1]})", R"({"a": [1.5]})", R"({"a": [4294967297]})"}) {
    EXPECT_EQ(mistake(json, [](Record& record) { record.tokens("a", 10); }),
              "f.jsonl:1: \"a[0]\" is no token of the model, whose vocabulary has 10")
        << json;
  }
}

TEST(Jsonl, KeepsTheFirstMistake) {
  EXPECT_EQ(mistake(R"({"b": 1})",
                    [](Record& record) {
                      record.text("a");
                      record.text("b");
                    }),
            "f.jsonl:1: no \"a\"");
}

}  // namespace
}  // namespace headwater::eval
