#include "cache/window_rows.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace headwater::cache {
namespace {

/// Blocks that take 1, and 10 with their window rows, in a pool of 40.
WindowRows rows() { return {{.tokens = 8, .full_bytes = 1, .window_bytes = 9, .pool_bytes = 40}, 16}; }

/// A block that a sequence has filled and published, and then left.
void leave_behind(WindowRows& rows, BlockId block, bool wanted) {
  rows.grant(block);
  rows.fill(block);
  rows.leave(block, true, wanted);
}

TEST(WindowRows, TakeMemoryWithAGrantUntilThePoolIsFull) {
  WindowRows books = rows();
  for (BlockId block = 0; block < 4; ++block) {
    ASSERT_TRUE(books.room_for(block));
    books.grant(block);
  }
  EXPECT_EQ(books.bytes().full, 4U);
  EXPECT_EQ(books.bytes().window, 36U);
  EXPECT_FALSE(books.room_for(4));
  EXPECT_TRUE(books.room_for(3));  // it lacks nothing
}

TEST(WindowRows, OfSequencesThatWentOnGoFirstLongestAgoFirst) {
  WindowRows books = rows();
  leave_behind(books, 3, true);
  leave_behind(books, 2, false);
  leave_behind(books, 1, false);
  EXPECT_TRUE(books.give_back_passed());
  EXPECT_TRUE(books.give_back_passed());
  EXPECT_FALSE(books.give_back_passed());
  EXPECT_TRUE(books.give_back_kept());
  EXPECT_FALSE(books.give_back_kept());
  EXPECT_EQ(books.take_given_back().windows, (std::vector<BlockId>{2, 1, 3}));
  EXPECT_TRUE(books.take_given_back().empty());
  EXPECT_EQ(books.bytes().window, 0U);
  EXPECT_EQ(books.bytes().full, 3U);
}

TEST(WindowRows, ThatSomebodyNeedsStay) {
  WindowRows books = rows();
  leave_behind(books, 1, false);
  books.use(1);
  EXPECT_FALSE(books.give_back_passed());
  books.use(1);
  books.leave(1, true, false);
  EXPECT_FALSE(books.give_back_passed());
  EXPECT_TRUE(books.whole(1));
}

TEST(WindowRows, ThatManyPromptsEndInAreKeptAsThoseAtTheEndOfASequence) {
  WindowRows books = rows();
  leave_behind(books, 1, false);
  for (int prompt = 0; prompt < 2; ++prompt) {
    books.use(1);
    books.leave(1, true, false);
  }
  EXPECT_FALSE(books.give_back_passed());
  EXPECT_TRUE(books.give_back_kept());
}

TEST(WindowRows, ThatNobodyCanFindAreGivenBackAtOnce) {
  WindowRows books = rows();
  books.grant(1);
  books.leave(1, false, false);  // a private block
  books.grant(2);
  books.leave(2, true, true);  // an indexed one, not yet computed once more
  EXPECT_EQ(books.take_given_back().windows, (std::vector<BlockId>{1, 2}));
}

TEST(WindowRows, OfAnUnusedGrantGoToABlockThatLacksThem) {
  WindowRows books = rows();
  leave_behind(books, 1, false);
  EXPECT_TRUE(books.give_back_passed());
  books.grant(2);
  const std::uint64_t before = books.bytes().window;
  books.exchange(2, 1);
  EXPECT_EQ(books.bytes().window, before);
  EXPECT_FALSE(books.whole(1));
  books.fill(1);
  EXPECT_TRUE(books.whole(1));
  books.leave(1, true, true);
  EXPECT_TRUE(books.give_back_kept());
  // The second time it is told that it was computed once more in between.
  const GivenBack back = books.take_given_back();
  EXPECT_EQ(back.windows, (std::vector<BlockId>{1, 2, 1}));
  EXPECT_EQ(back.refills, (std::vector<std::uint32_t>{0, 0, 1}));
}

TEST(WindowRows, OfAnUnusedGrantStayWhereTheOtherBlockHasSome) {
  WindowRows books = rows();
  leave_behind(books, 1, false);
  books.grant(2);
  books.exchange(2, 1);
  EXPECT_EQ(books.bytes().window, 18U);
  EXPECT_FALSE(books.give_back_passed());  // somebody needs those of the first
  EXPECT_TRUE(books.take_given_back().empty());
}

TEST(WindowRows, GoWithAFreeBlockThatIsGivenBack) {
  WindowRows books = rows();
  books.grant(1);
  books.forget(1);
  books.give_back_block(1);
  EXPECT_EQ(books.bytes().full + books.bytes().window, 0U);
  const GivenBack back = books.take_given_back();
  EXPECT_EQ(back.blocks, std::vector<BlockId>{1});
  EXPECT_TRUE(back.windows.empty());
}

TEST(WindowRows, AreNeverMatchedWhereTheyAreMissing) {
  WindowRows books = rows();
  books.grant(1);
  EXPECT_THROW(books.use(1), std::logic_error);
  books.forget(1);
  EXPECT_THROW(books.leave(1, true, true), std::logic_error);
}

TEST(WindowRows, AreNoMatterWhereNoLayerHasAWindow) {
  WindowRows books({.full_bytes = 10, .pool_bytes = 10}, 4);
  for (BlockId block = 0; block < 4; ++block) {
    EXPECT_TRUE(books.room_for(block));
    books.grant(block);
    EXPECT_TRUE(books.whole(block));
  }
  EXPECT_FALSE(books.give_back_passed());
  EXPECT_FALSE(books.give_back_kept());
  EXPECT_TRUE(books.take_given_back().empty());
}

}  // namespace
}  // namespace headwater::cache
