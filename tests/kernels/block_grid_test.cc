#include "kernels/block_grid.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/kv_format.h"

namespace headwater::kernels {
namespace {

/// The block and the place in it of each of the first tokens, counted one by one.
struct Counted {
  explicit Counted(const BlockGrid& grid) {
    std::uint32_t block = 0, slot = 0;
    for (std::uint32_t position = 0; position < 10 * grid.tokens; ++position) {
      blocks.push_back(block);
      slots.push_back(slot);
      if (++slot == grid.tokens - (block == 0 ? grid.missing : 0)) {
        ++block;
        slot = 0;
      }
    }
  }
  std::vector<std::uint32_t> blocks, slots;
};

TEST(BlockGrid, SaysWhereEveryTokenLies) {
  for (const BlockGrid& grid :
       std::vector<BlockGrid>{1, 2, {2, 1}, 5, {5, 1}, {5, 4}, {8, 4}, 32, {32, 16}, {256, 128}}) {
    SCOPED_TRACE(std::to_string(grid.tokens) + " less " + std::to_string(grid.missing));
    const Counted counted(grid);
    std::uint32_t whole = 0;  // blocks that the tokens before `position` fill
    EXPECT_EQ(grid.begin(0), 0U);
    EXPECT_EQ(grid.covering(0), 0U);
    for (std::uint32_t position = 0; position < counted.blocks.size(); ++position) {
      const std::uint32_t block = counted.blocks[position];
      ASSERT_EQ(grid.block_of(position), block) << position;
      ASSERT_EQ(grid.slot(position), counted.slots[position]) << position;
      ASSERT_EQ(grid.begin(block), position - counted.slots[position]) << position;
      ASSERT_LT(counted.slots[position], grid.size(block)) << position;
      ASSERT_EQ(grid.whole(position), whole) << position;
      const bool last = counted.slots[position] + 1 == grid.size(block);
      whole += last ? 1 : 0;
      ASSERT_EQ(last, grid.end(block) == position + 1) << position;
      ASSERT_EQ(grid.whole(position + 1), whole) << position;
      ASSERT_EQ(grid.covering(position + 1), block + 1) << position;
    }
  }
}

TEST(BlockGrid, IsOfBlocksOfOneSizeWhereNothingElseIsSaid) {
  const BlockGrid grid = 16;
  EXPECT_EQ(grid, BlockGrid(16, 0));
  EXPECT_EQ(grid.size(0), 16U);
  EXPECT_EQ(block_grid({}, 16), grid);
}

TEST(BlockGrid, HasAFirstBlockOfHalfAsManyTokensWhereThoseHaveEightBits) {
  KvFormat format{4, 4};
  format.first_in_8_bits = true;
  EXPECT_EQ(block_grid(format, 32), BlockGrid(32, 16));
}

}  // namespace
}  // namespace headwater::kernels
