#include "tools/eval/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::eval {
namespace {

using testing::ElementsAre;
using Rows = std::vector<std::vector<std::string>>;

struct Read {
  Rows rows;
  std::vector<std::string> places;
  std::string error;
};

Read read(std::string_view text) {
  Read all;
  const auto done = read_csv(text, "f.csv", 3, [&](CsvRow row) -> Result<void> {
    all.places.push_back(row.place);
    all.rows.push_back(std::move(row.fields));
    return {};
  });
  if (!done) all.error = done.error().message;
  return all;
}

TEST(Csv, ReadsFieldsWithAnyLineEnd) {
  EXPECT_EQ(read("a,b\r\n\n,c d,\nlast").rows, (Rows{{"a", "b"}, {"", "c d", ""}, {"last"}}));
  EXPECT_EQ(read("").rows, Rows{});
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a")
                .rows,
            (Rows{{"a"}}));
}

TEST(Csv, QuotedFieldsHoldCommasLineEndsAndQuotes) {
  EXPECT_EQ(read("\"a,b\",\"say \"\"hi\"\"\",\"\"\n\"two\nlines\"\n").rows,
            (Rows{{"a,b", "say \"hi\"", ""}, {"two\nlines"}}));
  EXPECT_EQ(read("5\" pipe,b").rows, (Rows{{"5\" pipe", "b"}}));
}

TEST(Csv, CountsTheLinesInsideOfQuotes) {
  EXPECT_THAT(read("\"a\n\n\"\nb\n").places, ElementsAre("f.csv:1", "f.csv:4"));
}

TEST(Csv, NamesTheRowThatIsBroken) {
  EXPECT_EQ(read("a\n\"b\n\nc").error, "f.csv:2: a quote is not closed in this row");
  EXPECT_EQ(read("\"a\"b").error, "f.csv:1: a field of this row goes on after its closing quote");
  EXPECT_EQ(read("a,b,c,d").error, "f.csv:1: this row has more than 3 fields");
}

TEST(Csv, StopsWhereARowIsNotTaken) {
  int seen = 0;
  const auto done = read_csv("a\nb\nc", "f.csv", 3, [&](const CsvRow& row) -> Result<void> {
    ++seen;
    if (row.fields[0] == "b") return Error{ErrorCode::invalid_csv, "no b", ""};
    return {};
  });
  EXPECT_FALSE(done.ok());
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace headwater::eval
