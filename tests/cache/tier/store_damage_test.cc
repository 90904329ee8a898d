// What a store finds in its folder that it has not left there: damage, what is missing, what others have put there.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/cache/tier/store_fixture.h"

namespace headwater::cache {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class StoreDamage : public StoreFixture {
 protected:
  /// Three segments of two blocks each.
  void SetUp() override {
    StoreFixture::SetUp();
    open();
    for (unsigned i = 0; i < 6; ++i) {
      blocks_.push_back(block_of(i, {}, 400'000));
      ASSERT_TRUE(put(blocks_.back()).ok());
    }
    ASSERT_THAT(files(".index"), SizeIs(3));
    store_.reset();
  }

  std::string note() {
    const auto notes = store_->take_notes();
    EXPECT_THAT(notes, SizeIs(1));
    return notes.empty() ? "" : notes[0];
  }
  /// Whatever is still there is right, and the store goes on.
  void expect_sound(const std::vector<Key>& keys) {
    for (const TierBlock& block : blocks_) {
      if (std::ranges::find(keys, block.name.key) != keys.end()) {
        EXPECT_EQ(get(block), record_of(block));
      } else {
        EXPECT_THAT(get(block), IsEmpty());
      }
    }
    EXPECT_TRUE(put(block_of(99)).ok());
    EXPECT_EQ(get(block_of(99)), record_of(block_of(99)));
    const std::size_t n = keys.size();
    EXPECT_THAT(open(), SizeIs(n + 1));
    EXPECT_THAT(store_->take_notes(), IsEmpty()) << "what was found was put right";
  }

  std::vector<TierBlock> blocks_;
};

TEST_F(StoreDamage, LosesOneBlockForADamagedNote) {
  flip(files(".index")[1], 128 + 40);
  const auto keys = open();
  EXPECT_THAT(keys, SizeIs(5));
  EXPECT_EQ(note(), "threw away what was damaged: 1 blocks; kept 5 blocks");
  expect_sound(keys);
}

TEST_F(StoreDamage, LosesASegmentWhoseIndexIsDamagedMissingEmptyOrAnothers) {
  const std::vector<std::pair<std::function<void(const std::filesystem::path&)>, std::string>> ways = {
      {[](const auto& path) { flip(path, 3); }, "its index is damaged"},
      {[](const auto& path) { flip(path, 8); }, "its index is damaged"},
      {[](const auto& path) { flip(path, 16); }, "it was written by another version"},
      {[](const auto& path) { std::filesystem::remove(path); }, "its index is missing"},
      {[](const auto& path) { std::filesystem::resize_file(path, 0); }, "its index has an impossible size"},
      {[](const auto& path) { std::filesystem::remove(std::filesystem::path(path).replace_extension(".data")); },
       "its data is missing"},
  };
  for (const auto& [damage, why] : ways) {
    SCOPED_TRACE(why);
    TearDown();
    blocks_.clear();
    SetUp();
    damage(files(".index")[1]);
    const auto keys = open();
    EXPECT_THAT(keys, SizeIs(4));
    EXPECT_EQ(note(), "threw away what was damaged: 1 segment (" + why + "); kept 4 blocks");
    expect_sound(keys);
  }
}

TEST_F(StoreDamage, LosesWhatIsBehindTheEndOfACutFile) {
  std::filesystem::resize_file(files(".data")[2], 500'000);
  const auto keys = open();
  EXPECT_THAT(keys, SizeIs(5));
  EXPECT_EQ(note(), "threw away what was damaged: 1 blocks; kept 5 blocks");
  expect_sound(keys);
}

TEST_F(StoreDamage, GivesNoBytesThatAreNotARecords) {
  flip(files(".data")[0], 1000);
  open();
  const auto got = store_->get(blocks_[0].name.key, [&](std::span<const std::byte> record) {
    EXPECT_FALSE(check_record(record, blocks_[0].name, 400'000).ok());
  });
  EXPECT_TRUE(got.ok());
  EXPECT_EQ(get(blocks_[1]), record_of(blocks_[1]));
}

TEST_F(StoreDamage, SaysOfAFileThatWasCutWhileItServesThatTheRecordIsLost) {
  open();
  std::filesystem::resize_file(files(".data")[0], 1000);
  const auto got = store_->get(blocks_[0].name.key, [](auto) { FAIL(); });
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::corrupt);
  EXPECT_TRUE(store_->erase(std::vector{blocks_[0].name.key}).ok());
  EXPECT_EQ(get(blocks_[2]), record_of(blocks_[2]));
}

TEST_F(StoreDamage, IsOpenedAnewWhereAFileWasDeletedWhileItServes) {
  open();
  std::filesystem::remove(files(".data")[0]);
  EXPECT_FALSE(store_->get(blocks_[0].name.key, [](auto) { FAIL(); }).ok());
  const auto keys = reopen();
  EXPECT_THAT(keys, SizeIs(4));
  EXPECT_THAT(note(), HasSubstr("its data is missing"));
  expect_sound(keys);
}

/// Every byte of an index, and every 1,009th of the data: what is given is right or nothing.
TEST_F(StoreDamage, SurvivesAnyByteThatIsAnother) {
  for (const std::string extension : {".index", ".data"}) {
    const std::uint64_t size = std::filesystem::file_size(files(extension)[0]);
    for (std::uint64_t at = 0; at < size; at += extension == ".index" ? 1 : 100'003) {
      const auto path = files(extension)[0];
      flip(path, at);
      open();
      for (const TierBlock& block : blocks_) {
        const auto got = store_->get(block.name.key, [&](std::span<const std::byte> record) {
          const auto checked = check_record(record, block.name, 400'000);
          EXPECT_TRUE(!checked || std::ranges::equal(record, record_of(block)));
        });
        EXPECT_TRUE(got.ok() || got.error().code == ErrorCode::corrupt) << got.error().message;
      }
      store_.reset();
      if (!std::filesystem::exists(path)) break;  // thrown away
      if (extension == ".data") flip(path, at);
    }
    TearDown();
    blocks_.clear();
    SetUp();
  }
}

TEST_F(StoreDamage, RemovesWhatAnOlderVersionHasLeftAndNothingElse) {
  TearDown();
  std::filesystem::create_directories(folder_);
  for (const char* name : {"CURRENT", "LOG", "LOCK", "IDENTITY", "000012.sst", "000013.log", "OPTIONS-000007"}) {
    std::ofstream(folder_ / name) << "x";
  }
  EXPECT_THAT(open(), IsEmpty());
  EXPECT_EQ(note(), "removed 7 files of an older version's store");
  EXPECT_TRUE(put(block_of(1)).ok());
  EXPECT_THAT(open(), ElementsAre(block_of(1).name.key));
  EXPECT_THAT(store_->take_notes(), IsEmpty());
}

TEST_F(StoreDamage, LeavesFilesAloneThatAreNotItsOwn) {
  TearDown();
  std::filesystem::create_directories(folder_);
  for (const char* name : {"thesis.txt", "000012.sst", "segment-1.data"}) std::ofstream(folder_ / name) << "x";
  SegmentStore store({parent_.string(), kLimit, nullptr});
  const auto opened = store.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("has files of something else in it, such as \""));
  EXPECT_THAT(opened.error().message, HasSubstr("move them away, or name another folder for the disk tier"));
  for (const char* name : {"thesis.txt", "000012.sst", "segment-1.data"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / name)) << name;
    std::filesystem::remove(folder_ / name);
  }
  EXPECT_TRUE(store.open().ok());
  std::ofstream(folder_ / "notes.txt") << "x";
  EXPECT_TRUE(store.open().ok()) << "beside its own files another's harm nothing";
  EXPECT_TRUE(store.clear().ok());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "notes.txt"));
}

TEST_F(StoreDamage, DoesNotWaitForAPipeOrTakeAFolderForAFile) {
  for (const auto& path : {files(".data")[0], files(".index")[1]}) {
    std::filesystem::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  }
  std::filesystem::remove(files(".index")[2]);
  std::filesystem::create_directory(folder_ / "segment-0000000000000003.index");
  EXPECT_THAT(open(), IsEmpty());
  EXPECT_TRUE(put(block_of(1)).ok());
  EXPECT_THAT(open(), ElementsAre(block_of(1).name.key));
}

TEST_F(StoreDamage, SaysThatAFolderCannotBeMade) {
  std::ofstream(parent_ / "file") << "x";
  SegmentStore store({(parent_ / "file" / "in").string(), kLimit, nullptr});
  const auto opened = store.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("cannot make the folder"));
  EXPECT_THAT(opened.error().message, HasSubstr("Not a directory"));
}

TEST_F(StoreDamage, NoticesThatItsFolderWasMovedOrDeletedAndMakesItAnew) {
  for (const bool moved : {true, false}) {
    open();
    EXPECT_TRUE(put(blocks_[0]).ok());
    if (moved) {
      std::filesystem::rename(folder_, parent_ / "elsewhere");
    } else {
      std::filesystem::remove_all(folder_);
    }
    const std::string why = "the folder " + folder_.string() + " was moved or deleted";
    EXPECT_EQ(put(blocks_[1]).error().message, why);
    EXPECT_EQ(store_->get(blocks_[0].name.key, [](auto) { FAIL(); }).error().message, why);
    EXPECT_EQ(store_->erase(std::vector{blocks_[0].name.key}).error().message, why);
    EXPECT_EQ(store_->clear().error().message, why);
    EXPECT_THAT(reopen(), IsEmpty());
    EXPECT_TRUE(put(blocks_[1]).ok());
    EXPECT_EQ(get(blocks_[1]), record_of(blocks_[1]));
  }
}

}  // namespace
}  // namespace headwater::cache
