#include "cache/window.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

TEST(Window, BeginsWithTheBlockOfTheFirstTokenThatTheNextOneSees) {
  // Token 9 sees 6 … 9 through a window of four.
  EXPECT_EQ(first_in_window(9, 4, 1), 6U);
  EXPECT_EQ(first_in_window(9, 4, 2), 3U);
  EXPECT_EQ(first_in_window(9, 4, 4), 1U);
  EXPECT_EQ(first_in_window(9, 1, 4), 2U);
  EXPECT_EQ(first_in_window(8, 1, 4), 2U);
  EXPECT_EQ(first_in_window(3, 4, 1), 0U);
  EXPECT_EQ(first_in_window(4, 4, 1), 1U);
  EXPECT_EQ(first_in_window(0, 4, 1), 0U);
}

TEST(Window, IsTheWholeSequenceWhereNoLayerHasOne) { EXPECT_EQ(first_in_window(1'000'000, 0, 32), 0U); }

TEST(Window, LeavesAPoolAsManyBlocksAsHaveRoomWhereThereIsNone) {
  EXPECT_EQ(pool_blocks({.full_bytes = 10, .pool_bytes = 105}, 32, 512), 10U);
  EXPECT_EQ(pool_blocks({.full_bytes = 10, .pool_bytes = 9}, 32, 512), 0U);
}

TEST(Window, CutsAPoolIntoWhatOneSequenceCouldFill) {
  // Window rows for 512 + 2 x 256 tokens, which are 32 blocks and two that are not full.
  const WindowOptions options{.tokens = 512, .full_bytes = 2, .window_bytes = 10, .pool_bytes = 340 + 2 * 100};
  EXPECT_EQ(pool_blocks(options, 32, 256), 100U);
}

TEST(Window, NeverCutsAPoolIntoFewerBlocksThanHaveRoomWithAllTheirRows) {
  // 45 blocks have room with all they have; not even one sequence's window rows beside 45 blocks do.
  EXPECT_EQ(pool_blocks({.tokens = 512, .full_bytes = 2, .window_bytes = 10, .pool_bytes = 540}, 4, 256), 45U);
  // All have room with all they have, so that more would be of no use to one sequence and are not needed.
  EXPECT_EQ(pool_blocks({.tokens = 512, .full_bytes = 10, .window_bytes = 1, .pool_bytes = 400}, 32, 256), 36U);
}

TEST(Window, BoundsTheBlocksOfModelsInWhichAllLayersHaveOne) {
  EXPECT_EQ(pool_blocks({.tokens = 32, .full_bytes = 0, .window_bytes = 10, .pool_bytes = 1000}, 32, 32), 800U);
}

TEST(Window, SaysHowManyVictimsMakeRoomForABlock) {
  EXPECT_EQ(victims_for_one({.full_bytes = 7}), 1U);
  EXPECT_EQ(victims_for_one({.tokens = 8, .full_bytes = 3, .window_bytes = 15}), 6U);
  EXPECT_EQ(victims_for_one({.tokens = 8, .full_bytes = 4, .window_bytes = 15}), 5U);
  EXPECT_EQ(victims_for_one({.tokens = 8, .full_bytes = 0, .window_bytes = 15}), 16U);
  EXPECT_EQ(victims_for_one({.tokens = 8, .full_bytes = 1, .window_bytes = 1000}), 32U);
}

}  // namespace
}  // namespace headwater::cache
