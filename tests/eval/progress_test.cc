#include "tools/eval/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace headwater::eval {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(Progress, IsABarOnATerminalThatGoesAway) {
  std::ostringstream out;
  double now = 0;
  {
    Progress progress(out, true, 4000, "tokens", [&] { return now; });
    progress.label("quant policy 0");
    progress.advance(1);
    EXPECT_EQ(out.str(), "");  // too soon to look at
    now = 30;
    progress.advance(999);
    EXPECT_THAT(out.str(),
                HasSubstr("[#######.......................] quant policy 0: 25 % of 4,000 tokens, 1:30 left"));
  }
  EXPECT_THAT(out.str(), EndsWith("\r\033[K"));
}

TEST(Progress, IsALineNowAndThenElsewhere) {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, false, 10, "questions", [&] { return now; });
  for (int i = 0; i < 10; ++i) {
    now += 5;
    progress.advance(1);
  }
  progress.clear();
  EXPECT_EQ(out.str(), "40 % of 10 questions, 0:30 left\n80 % of 10 questions, 0:10 left\n");
}

TEST(Progress, NeverPassesItsEnd) {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, true, 0, "tokens", [&] { return now; });
  now = 1e12;
  progress.advance(5);
  EXPECT_THAT(out.str(), HasSubstr("100 % of 1 tokens, 0:00 left"));
}

}  // namespace
}  // namespace headwater::eval
