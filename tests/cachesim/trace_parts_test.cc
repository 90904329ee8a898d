#include "tools/cachesim/trace_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::cachesim {
namespace {

using testing::ElementsAre;

/// Five requests at 10, 20, … ns; blocks 0 1, 0 2, 3, 0 1 4, 5.
Trace sample() {
  Trace trace;
  for (const std::vector<TokenId>& blocks : std::vector<std::vector<TokenId>>{{0, 1}, {0, 2}, {3}, {0, 1, 4}, {5}}) {
    trace.total_blocks += blocks.size();
    trace.requests.push_back({static_cast<TimeNs>(10 * (trace.requests.size() + 1)), blocks});
  }
  trace.distinct_blocks = 6;
  return trace;
}

std::vector<std::vector<TokenId>> blocks_of(const Trace& trace) {
  std::vector<std::vector<TokenId>> all;
  for (const TraceRequest& request : trace.requests) all.push_back(request.blocks);
  return all;
}

TEST(TraceParts, HalvesShareNoRequestAndNumberTheirBlocksFromZero) {
  const Trace first = part_of(sample(), Part::first), second = part_of(sample(), Part::second);
  EXPECT_THAT(blocks_of(first), ElementsAre(ElementsAre(0, 1), ElementsAre(0, 2)));
  EXPECT_THAT(blocks_of(second), ElementsAre(ElementsAre(0), ElementsAre(1, 2, 3), ElementsAre(4)));
  EXPECT_EQ(first.distinct_blocks, 3U);
  EXPECT_EQ(second.distinct_blocks, 5U);
  EXPECT_EQ(first.total_blocks, 4U);
  EXPECT_EQ(second.total_blocks, 5U);
  EXPECT_EQ(second.requests[0].at, 30);
  EXPECT_EQ(blocks_of(part_of(sample(), Part::whole)), blocks_of(sample()));
}

TEST(TraceParts, ReversingChangesTheOrderAndNotTheTimes) {
  const Trace backwards = reversed(sample());
  EXPECT_THAT(blocks_of(backwards),
              ElementsAre(ElementsAre(0), ElementsAre(1, 2, 3), ElementsAre(4), ElementsAre(1, 5), ElementsAre(1, 2)));
  EXPECT_EQ(backwards.distinct_blocks, 6U);
  for (std::size_t r = 0; r < 5; ++r) EXPECT_EQ(backwards.requests[r].at, sample().requests[r].at);
}

TEST(TraceParts, ASampleTakesEveryNthRequest) {
  EXPECT_THAT(blocks_of(every(sample(), 2)), ElementsAre(ElementsAre(0, 1), ElementsAre(2), ElementsAre(3)));
  EXPECT_THAT(blocks_of(every(sample(), 2, 1)), ElementsAre(ElementsAre(0, 1), ElementsAre(0, 2, 3)));
  EXPECT_EQ(every(sample(), 9).requests.size(), 1U);
}

TEST(TraceParts, VariantsAreAllOfTheJudgedPart) {
  const auto all = variants(sample(), Part::second);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(blocks_of(all[0].trace), blocks_of(part_of(sample(), Part::second)));
  EXPECT_EQ(blocks_of(all[1].trace), blocks_of(reversed(part_of(sample(), Part::second))));
  EXPECT_EQ(all[2].trace.requests.size(), 2U);
  EXPECT_EQ(all[3].trace.requests.size(), 1U);
}

}  // namespace
}  // namespace headwater::cachesim
