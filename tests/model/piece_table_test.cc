#include "model/piece_table.h"

#include <gtest/gtest.h>

namespace headwater::model {
namespace {

TEST(PieceTable, FindsPiecesByTheirText) {
  PieceTable table;
  table.reserve(2, 6);
  table.add("abc", {7, -1.5F});
  table.add("x", {8, -2});
  EXPECT_EQ(table.find("abc").id, 7);
  EXPECT_EQ(table.find("abc").score, -1.5F);
  EXPECT_EQ(table.find("ab").id, -1);
  EXPECT_EQ(table.find("abcd").id, -1);
  EXPECT_EQ(table.longest(), 3U);
}

TEST(PieceTable, KnowsWhichCharactersNoPieceJoins) {
  PieceTable table;
  table.reserve(2, 12);
  table.add("a\u00e9\u6f22", {1, 0});
  table.add("\xFFz", {2, 0});
  EXPECT_TRUE(table.joins("a", "\u00e9"));
  EXPECT_TRUE(table.joins("\u00e9", "\u6f22"));
  EXPECT_TRUE(table.joins("\xFF", "z"));
  // A pair may seem to be joined by chance; most may not.
  int joined = 0;
  for (char left = 'b'; left < 'l'; ++left) {
    for (char right = 'b'; right < 'l'; ++right) joined += table.joins({&left, 1}, {&right, 1}) ? 1 : 0;
  }
  EXPECT_LT(joined, 20);
}

TEST(PieceTable, JoinsNothingWhereItIsEmpty) { EXPECT_FALSE(PieceTable().joins("a", "b")); }

TEST(PieceTable, EndsACharacterThatIsNoUtf8WhereItGoesWrong) {
  EXPECT_EQ(character_length("\u6f22x"), 3U);
  EXPECT_EQ(character_length("\xE6\xBCx"), 2U);
  EXPECT_EQ(character_length("\xFFx"), 1U);
}

}  // namespace
}  // namespace headwater::model
