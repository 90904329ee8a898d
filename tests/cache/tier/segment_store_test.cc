#include "cache/tier/segment_store.h"

#include <algorithm>

#include "tests/cache/tier/store_fixture.h"

namespace headwater::cache {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class SegmentStoreTest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    open();
  }
};

TEST_F(SegmentStoreTest, GivesBackWhatWasPutAndFindsItAgainAfterARestart) {
  const auto chain = chain_of(1, 5, 50'000);
  for (const TierBlock& block : chain) EXPECT_TRUE(put(block).ok());
  for (const TierBlock& block : chain) EXPECT_EQ(get(block), record_of(block));
  EXPECT_THAT(get(block_of(7)), IsEmpty());
  const std::uint64_t bytes = store_->state().bytes;
  EXPECT_EQ(bytes, 5 * record_of(chain[0]).size());

  const std::vector<Key> keys = open();
  EXPECT_THAT(
      keys, ElementsAre(chain[0].name.key, chain[1].name.key, chain[2].name.key, chain[3].name.key, chain[4].name.key));
  for (const TierBlock& block : chain) EXPECT_EQ(get(block), record_of(block));
  EXPECT_EQ(store_->state().bytes, bytes);
  EXPECT_THAT(store_->take_notes(), IsEmpty());
}

TEST_F(SegmentStoreTest, GoesOnInTheSegmentThatARestartHasFound) {
  for (unsigned i = 0; i < 30; ++i) {
    EXPECT_TRUE(put(block_of(i)).ok());
    EXPECT_EQ(open().size(), i + 1);
  }
  EXPECT_EQ(files(".data").size(), 1U);
  for (unsigned i = 0; i < 30; ++i) EXPECT_EQ(get(block_of(i)), record_of(block_of(i)));
}

TEST_F(SegmentStoreTest, ForgetsWhatIsErased) {
  const auto chain = chain_of(1, 3);
  for (const TierBlock& block : chain) EXPECT_TRUE(put(block).ok());
  EXPECT_TRUE(store_->erase(std::vector{chain[1].name.key, block_of(77).name.key}).ok());
  EXPECT_THAT(get(chain[1]), IsEmpty());
  EXPECT_THAT(open(), ElementsAre(chain[0].name.key, chain[2].name.key));
  EXPECT_THAT(get(chain[1]), IsEmpty());
  EXPECT_TRUE(store_->erase(std::vector{chain[0].name.key, chain[2].name.key}).ok());
  EXPECT_EQ(store_->state().bytes, 0U);
  EXPECT_THAT(files(".data"), IsEmpty()) << "a segment of which nothing is left goes";
  EXPECT_TRUE(put(chain[0]).ok());
  EXPECT_THAT(open(), ElementsAre(chain[0].name.key));
}

TEST_F(SegmentStoreTest, TakesTheLatestOfTwoRecordsOfOneKey) {
  TierBlock block = block_of(1);
  EXPECT_TRUE(put(block).ok());
  EXPECT_TRUE(put(block_of(2)).ok());
  block.bytes = block_of(3).bytes;
  EXPECT_TRUE(put(block).ok());
  EXPECT_EQ(get(block), record_of(block));
  EXPECT_THAT(open(), ElementsAre(block_of(2).name.key, block.name.key));
  EXPECT_EQ(get(block), record_of(block));
  EXPECT_TRUE(store_->erase(std::vector{block.name.key}).ok());
  EXPECT_THAT(open(), ElementsAre(block_of(2).name.key)) << "nor is the older one found then";
}

TEST_F(SegmentStoreTest, StaysBelowItsLimitOnTheDiskAndGivesUpTheOldest) {
  constexpr std::size_t kBytes = 400'000;
  std::vector<TierBlock> put_blocks;
  std::vector<Key> dropped;
  for (unsigned i = 0; i < 80; ++i) {
    put_blocks.push_back(block_of(i, {}, kBytes));
    const auto gone = put(put_blocks.back());
    ASSERT_TRUE(gone.ok()) << gone.error().message;
    dropped.insert(dropped.end(), gone->begin(), gone->end());
    EXPECT_LE(store_->state().bytes, store_->capacity());
    EXPECT_LE(bytes_on_disk(), kLimit) << "after " << i;
  }
  EXPECT_GE(store_->state().bytes + 2 * kBytes, store_->capacity());
  const std::size_t kept = put_blocks.size() - dropped.size();
  EXPECT_GT(kept, 30U);
  const auto expect_kept = [&] {
    for (std::size_t i = 0; i < put_blocks.size(); ++i) {
      if (i < dropped.size()) {
        EXPECT_EQ(dropped[i], put_blocks[i].name.key);
        EXPECT_THAT(get(put_blocks[i]), IsEmpty());
      } else {
        EXPECT_EQ(get(put_blocks[i]), record_of(put_blocks[i])) << i;
      }
    }
  };
  expect_kept();
  EXPECT_EQ(open().size(), kept);
  expect_kept();
}

TEST_F(SegmentStoreTest, StaysBelowItsLimitWithRecordsOfAnySize) {
  std::mt19937 random(3);
  for (unsigned i = 0; i < 100; ++i) {
    ASSERT_TRUE(put(block_of(i, {}, 1 + random() % 1'500'000)).ok());
    if (i % 7 == 0) {
      ASSERT_TRUE(store_->erase(std::vector{block_of(i - i % 3).name.key}).ok());
    }
    if (i % 50 == 49) open();
    ASSERT_LE(bytes_on_disk(), kLimit) << "after " << i;
  }
}

TEST_F(SegmentStoreTest, GivesUpTheOldestWhereTheLimitIsLowerThanLastTime) {
  open(2 * kLimit);
  for (unsigned i = 0; i < 60; ++i) ASSERT_TRUE(put(block_of(i, {}, 400'000)).ok());
  const auto keys = open(kLimit);
  EXPECT_LE(bytes_on_disk(), kLimit);
  EXPECT_THAT(keys, Contains(block_of(59).name.key));
  EXPECT_THAT(keys, Not(Contains(block_of(0).name.key)));
}

TEST_F(SegmentStoreTest, RefusesARecordThatIsALargePartOfItsLimit) {
  const auto put_large = put(block_of(1, {}, kLimit / 8));
  ASSERT_FALSE(put_large.ok());
  EXPECT_THAT(put_large.error().message, HasSubstr("too large a part of the limit of 16 MiB; raise it"));
  EXPECT_TRUE(put(block_of(2)).ok());
}

TEST_F(SegmentStoreTest, FindsAgainWhoseABlockIsAndUntilWhen) {
  TierBlock mine = block_of(1);
  mine.terms = {tenant_mark("0123456789ab"), 12345};
  EXPECT_TRUE(put(mine).ok());
  EXPECT_TRUE(put(block_of(2)).ok());
  EXPECT_EQ(store_->state().next_out, mine.terms.tenant);
  open();
  const auto opened = store_->open();
  ASSERT_TRUE(opened.ok());
  EXPECT_THAT(*opened, ElementsAre(mine.entry(), block_of(2).entry()));
  EXPECT_TRUE(store_->erase(std::vector{mine.name.key}).ok());
  EXPECT_EQ(store_->state().next_out, std::nullopt) << "nobody misses what is erased";
}

TEST_F(SegmentStoreTest, LeavesNoByteOfWhatIsCleared) {
  const std::string secret = "the tokens of a prompt that must go";
  TierBlock block = block_of(1);
  auto bytes = std::make_shared<ByteBuffer>(secret.size());
  std::ranges::copy(std::as_bytes(std::span(secret)), bytes->bytes().begin());
  block.bytes = bytes;
  EXPECT_TRUE(put(block).ok());
  EXPECT_TRUE(disk_holds(secret));
  EXPECT_TRUE(store_->clear().ok());
  EXPECT_FALSE(disk_holds(secret));
  EXPECT_EQ(store_->state().bytes, 0U);
  EXPECT_THAT(get(block), IsEmpty());
  EXPECT_TRUE(put(block_of(2)).ok());
  EXPECT_THAT(open(), ElementsAre(block_of(2).name.key));
}

TEST_F(SegmentStoreTest, LeavesAStoreAloneThatAnotherProcessHasOpen) {
  ASSERT_TRUE(put(block_of(1)).ok());
  SegmentStore second({parent_.string(), kLimit, nullptr});
  const auto opened = second.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("is in use by another process"));
  EXPECT_FALSE(put_block(second, block_of(2)).ok());
  EXPECT_EQ(get(block_of(1)), record_of(block_of(1)));
}

}  // namespace
}  // namespace headwater::cache
