#include "tools/cachesim/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tools/cachesim/families.h"
#include "tools/cachesim/replay.h"

namespace headwater::cachesim {
namespace {

TEST(Judge, FindsWhatAReplayThroughTheServersClassesFinds) {
  const Trace trace = families()[0].make(kJudgeSeed);
  for (const std::string policy : {"lru", "fifo", "lfu"}) {
    EXPECT_DOUBLE_EQ(hit_rate(trace, policy, 300), replay(trace, {policy, 300}, [](std::uint64_t) {}).value());
  }
  // Which of its blocks are remembered longest goes by their keys, and those differ.
  EXPECT_NEAR(hit_rate(trace, "adaptive", 300), replay(trace, {"adaptive", 300}, [](std::uint64_t) {}).value(), 0.01);
}

TEST(Judge, TakesTheBestOfTheSimplePoliciesOfEachTrace) {
  Verdict sum = judge(families()[0].make(kJudgeSeed), 0.03);
  EXPECT_EQ(sum.best_simple, std::max({sum.lru, sum.fifo, sum.lfu}));
  EXPECT_EQ(sum.advantage(), sum.adaptive - sum.best_simple);
  const Verdict one = sum;
  sum.add(one);
  sum.divide(2);
  EXPECT_DOUBLE_EQ(sum.lru, one.lru);
  EXPECT_DOUBLE_EQ(sum.advantage(), one.advantage());
}

}  // namespace
}  // namespace headwater::cachesim
