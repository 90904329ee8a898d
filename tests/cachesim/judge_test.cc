#include "tools/cachesim/judge.h"

#include <gtest/gtest.h>

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

Verdict verdict(double lru, double fifo, double lfu, double adaptive) {
  return {.capacity = 100, .blocks = 1000, .lru = lru, .fifo = fifo, .lfu = lfu, .adaptive = adaptive};
}

TEST(Judge, HoldsAdaptiveAgainstTheBestThatIsSimple) {
  EXPECT_DOUBLE_EQ(verdict(0.2, 0.1, 0.3, 0.35).advantage(), 0.35 - 0.3);
  EXPECT_DOUBLE_EQ(verdict(0.2, 0.25, 0.1, 0.2).advantage(), 0.2 - 0.25);
}

TEST(Judge, CountsHitsAboveTheLaw) {
  // 0.995 of 400 hits, less 0.1375 of 100 blocks.
  EXPECT_NEAR(verdict(0.4, 0, 0, 0.3).above_law(), 300 - (398 - 13.75), 1e-9);
  EXPECT_NEAR(verdict(0.4, 0, 0, 0.5).above_law(), 500 - (398 - 13.75), 1e-9);
}

TEST(Judge, SaysWhatShareOfLrusHitsIsLacking) {
  EXPECT_DOUBLE_EQ(verdict(0.4, 0, 0, 0.3).below_lru(), 0.25);
  EXPECT_EQ(verdict(0.4, 0, 0, 0.5).below_lru(), 0);
  EXPECT_EQ(verdict(0, 0, 0, 0).below_lru(), 0);
}

TEST(Judge, SumsUpTracesThatCountAlike) {
  Summary sum;
  sum.add(verdict(0.2, 0.1, 0.3, 0.35));
  sum.add(verdict(0.4, 0.2, 0.1, 0.3));
  EXPECT_EQ(sum.judged(), 2U);
  EXPECT_DOUBLE_EQ(sum.lru(), 0.3);
  EXPECT_DOUBLE_EQ(sum.lfu(), 0.2);
  EXPECT_NEAR(sum.advantage(), (0.05 - 0.1) / 2, 1e-12);
  EXPECT_DOUBLE_EQ(sum.most_below_lru(), 0.25);
  EXPECT_EQ(sum.below_law(), 1U);
}

TEST(Judge, FindsThatTheLawHoldsAtASmallAndALargeSize) {
  const Trace trace = families()[0].make(kJudgeSeed);
  for (const double size : {0.01, 0.3}) {
    const Verdict found = judge(trace, size);
    EXPECT_EQ(found.capacity, static_cast<std::uint32_t>(size * trace.distinct_blocks));
    EXPECT_EQ(found.blocks, trace.total_blocks);
    EXPECT_GE(found.above_law(), 0);
  }
}

}  // namespace
}  // namespace headwater::cachesim
