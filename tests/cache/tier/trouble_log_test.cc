#include "cache/tier/trouble_log.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

TEST(TroubleLog, TellsOfATroubleOnceAndOfItsEnd) {
  TroubleLog log;
  EXPECT_FALSE(log.on("save", "", 0));
  const auto begun = log.on("save", "no space", 1);
  ASSERT_TRUE(begun);
  EXPECT_TRUE(begun->trouble);
  EXPECT_EQ(begun->text, "cannot save: no space; serving goes on without it, and it is tried again");
  for (TimeNs now = 2; now < 5 * TroubleLog::kAgain; now += TroubleLog::kAgain / 3) {
    EXPECT_FALSE(log.on("save", "no space", now));
  }
  const auto over = log.on("save", "", 6 * TroubleLog::kAgain);
  ASSERT_TRUE(over);
  EXPECT_FALSE(over->trouble);
  EXPECT_EQ(over->text, "can save again");
  EXPECT_FALSE(log.on("save", "", 6 * TroubleLog::kAgain));
}

TEST(TroubleLog, TellsOfAnotherCauseAndOfAnotherDoing) {
  TroubleLog log;
  EXPECT_TRUE(log.on("save", "no space", 0));
  EXPECT_TRUE(log.on("save", "read-only", 1));
  EXPECT_TRUE(log.on("load", "read-only", 2));
  EXPECT_FALSE(log.on("load", "read-only", 3));
  EXPECT_TRUE(log.on("load", "", 4));
  EXPECT_FALSE(log.on("save", "read-only", 5));
}

TEST(TroubleLog, IsQuietOfWhatComesAndGoes) {
  TroubleLog log;
  int lines = 0;
  for (TimeNs now = 0; now < 10 * TroubleLog::kAgain; now += TroubleLog::kAgain / 100) {
    if (log.on("save", now / 7 % 2 == 0 ? "no space" : "", now)) ++lines;
  }
  EXPECT_LE(lines, 22);
  EXPECT_GE(lines, 10);
}

}  // namespace
}  // namespace headwater::cache
