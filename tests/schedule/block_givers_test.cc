#include "schedule/block_givers.h"

#include <gtest/gtest.h>

namespace headwater::schedule {
namespace {

Sequence holder(std::uint64_t age, std::vector<BlockId> blocks) {
  Sequence sequence;
  sequence.age = age;
  sequence.blocks = std::move(blocks);
  return sequence;
}

using Givers = std::vector<Sequence*>;

TEST(BlockGivers, TakesThoseThatWaitFirstNewestFirst) {
  Sequence run1 = holder(1, {0, 1}), run2 = holder(2, {2, 3}), wait3 = holder(3, {4}), wait4 = holder(4, {5});
  EXPECT_EQ(block_givers({&run1, &run2}, {&wait3, &wait4}, nullptr, 1), (Givers{&wait4}));
  EXPECT_EQ(block_givers({&run1, &run2}, {&wait3, &wait4}, nullptr, 2), (Givers{&wait4, &wait3}));
  EXPECT_EQ(block_givers({&run1, &run2}, {&wait3, &wait4}, nullptr, 3), (Givers{&wait4, &wait3, &run2}));
}

TEST(BlockGivers, NeverTakesFromTheOldestThatRuns) {
  Sequence run1 = holder(1, {0, 1}), run2 = holder(2, {2}), run3 = holder(3, {3});
  EXPECT_EQ(block_givers({&run1, &run2, &run3}, {}, nullptr, 99), (Givers{&run3, &run2}));
  EXPECT_TRUE(block_givers({&run1}, {}, nullptr, 99).empty());
}

TEST(BlockGivers, CountsABlockOnlyWhenItsLastUserGivesIt) {
  Sequence run1 = holder(1, {0, 1}), run2 = holder(2, {0, 1, 2}), wait3 = holder(3, {0, 1});
  EXPECT_EQ(block_givers({&run1, &run2}, {&wait3}, nullptr, 1), (Givers{&wait3, &run2}));
}

TEST(BlockGivers, SparesTheBeneficiaryAndThoseThatHoldNothing) {
  Sequence wait1 = holder(1, {0}), wait2 = holder(2, {}), wait3 = holder(3, {1});
  EXPECT_EQ(block_givers({}, {&wait1, &wait2, &wait3}, &wait1, 99), (Givers{&wait3}));
}

}  // namespace
}  // namespace headwater::schedule
