#include "cache/tier/rocksdb_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/cache/tier/blocks.h"

namespace headwater::cache {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t kLimit = 16 << 20;

/// Writing fails while the disk is full.
class FullDisk : public rocksdb::FileSystemWrapper {
 public:
  FullDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FullDisk"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    if (full) return no_space();
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, context);
    if (status.ok()) *file = std::make_unique<File>(std::move(*file), full);
    return status;
  }

  std::atomic<bool> full{false};

 private:
  static rocksdb::IOStatus no_space() { return rocksdb::IOStatus::NoSpace("No space left on device"); }

  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> file, const std::atomic<bool>& full)
        : FSWritableFileOwnerWrapper(std::move(file)), full_(full) {}
    using FSWritableFileOwnerWrapper::Append;
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override {
      return full_ ? no_space() : FSWritableFileOwnerWrapper::Append(data, options, context);
    }

   private:
    const std::atomic<bool>& full_;
  };
};

class RocksDbStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("headwater_rocksdb_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    open();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  /// A store of a new process; gives what it holds.
  std::vector<Key> open(rocksdb::Env* env = nullptr, std::uint64_t limit = kLimit) {
    store_.reset();
    store_ = std::make_unique<RocksDbStore>(RocksDbOptions{folder_.string(), limit, env});
    auto entries = store_->open();
    EXPECT_TRUE(entries.ok()) << entries.error().message;
    std::vector<Key> keys;
    if (entries) {
      for (const TierEntry& entry : *entries) keys.push_back(entry.key);
    }
    return keys;
  }
  Result<std::vector<Key>> put(const TierBlock& block) {
    return store_->put(block.entry(), record_head(block.name, block.bytes->bytes()), block.bytes->bytes());
  }
  std::vector<std::byte> get(const TierBlock& block) {
    std::vector<std::byte> found;
    const auto got = store_->get(block.name.key, [&](auto record) { found.assign(record.begin(), record.end()); });
    EXPECT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(*got, !found.empty());
    return found;
  }
  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder_)) {
      std::error_code gone;  // RocksDB removes files in the background
      const auto size = file.is_regular_file(gone) ? file.file_size(gone) : 0;
      if (!gone) bytes += size;
    }
    return bytes;
  }
  /// Flips a byte in the middle of every file of a kind.
  void damage(const std::string& extension) {
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (entry.path().extension() != extension || entry.file_size() == 0) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(entry.file_size() / 2));
      const auto byte = static_cast<char>(file.get() ^ 0x55);
      file.seekp(static_cast<std::streamoff>(entry.file_size() / 2));
      file.put(byte);
      ++files;
    }
    ASSERT_GT(files, 0);
  }

  std::filesystem::path folder_;
  std::unique_ptr<RocksDbStore> store_;
};

TEST_F(RocksDbStoreTest, GivesBackWhatWasPutAndFindsItAgainAfterARestart) {
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
}

TEST_F(RocksDbStoreTest, ForgetsWhatIsErased) {
  const auto chain = chain_of(1, 3);
  for (const TierBlock& block : chain) EXPECT_TRUE(put(block).ok());
  EXPECT_TRUE(store_->erase(std::vector{chain[1].name.key, block_of(77).name.key}).ok());
  EXPECT_THAT(get(chain[1]), IsEmpty());
  EXPECT_THAT(open(), ElementsAre(chain[0].name.key, chain[2].name.key));
  EXPECT_THAT(get(chain[1]), IsEmpty());
}

TEST_F(RocksDbStoreTest, TakesTheLatestOfTwoRecordsOfOneKey) {
  TierBlock block = block_of(1);
  EXPECT_TRUE(put(block).ok());
  EXPECT_TRUE(put(block_of(2)).ok());
  block.bytes = block_of(3).bytes;
  EXPECT_TRUE(put(block).ok());
  EXPECT_EQ(get(block), record_of(block));
  EXPECT_THAT(open(), ElementsAre(block_of(2).name.key, block.name.key));
  EXPECT_EQ(get(block), record_of(block));
}

TEST_F(RocksDbStoreTest, StaysBelowItsLimitOnTheDiskAndGivesUpTheOldest) {
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
  EXPECT_GT(kept, 15U);
  for (std::size_t i = 0; i < put_blocks.size(); ++i) {
    if (i < dropped.size()) {
      EXPECT_EQ(dropped[i], put_blocks[i].name.key);
      EXPECT_THAT(get(put_blocks[i]), IsEmpty());
    } else {
      EXPECT_EQ(get(put_blocks[i]), record_of(put_blocks[i])) << i;
    }
  }
  const auto keys = open();
  EXPECT_EQ(keys.size(), kept);
  for (std::size_t i = dropped.size(); i < put_blocks.size(); ++i) {
    EXPECT_EQ(get(put_blocks[i]), record_of(put_blocks[i])) << i;
  }
}

TEST_F(RocksDbStoreTest, RefusesARecordThatIsALargePartOfItsLimit) {
  const auto put_large = put(block_of(1, {}, kLimit / 8));
  ASSERT_FALSE(put_large.ok());
  EXPECT_THAT(put_large.error().message, HasSubstr("too large"));
  EXPECT_TRUE(put(block_of(2)).ok());
}

TEST_F(RocksDbStoreTest, SaysThatTheDiskIsFullAndGoesOnOnceItIsOpenedAnew) {
  FullDisk disk;
  const auto env = rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(&disk, [](auto*) {}));
  open(env.get());
  EXPECT_TRUE(put(block_of(1)).ok());
  disk.full = true;
  bool failed = false;
  for (unsigned i = 2; i < 20 && !failed; ++i) {
    const auto tried = put(block_of(i, {}, 300'000));
    failed = !tried.ok();
    EXPECT_TRUE(tried.ok() || tried.error().message.find("No space") != std::string::npos) << tried.error().message;
  }
  EXPECT_TRUE(failed);
  EXPECT_EQ(get(block_of(1)), record_of(block_of(1)));
  disk.full = false;
  const auto entries = store_->open();
  ASSERT_TRUE(entries.ok()) << entries.error().message;
  EXPECT_THAT(*entries, testing::Contains(block_of(1).entry()));
  EXPECT_TRUE(put(block_of(50)).ok());
  EXPECT_EQ(get(block_of(50)), record_of(block_of(50)));
  store_.reset();
}

TEST_F(RocksDbStoreTest, GoesOnWithWhateverIsLeftOfDamagedFiles) {
  for (const char* extension : {".log", ".sst"}) {
    std::vector<TierBlock> blocks;
    for (unsigned i = 0; i < 12; ++i) {
      blocks.push_back(block_of(i, {}, 300'000));
      ASSERT_TRUE(put(blocks.back()).ok());
    }
    open();  // leaves tables
    ASSERT_TRUE(put(block_of(99, {}, 300'000)).ok());
    store_.reset();
    damage(extension);
    open();
    for (const TierBlock& block : blocks) {
      const auto got = store_->get(block.name.key, [&](std::span<const std::byte> record) {
        EXPECT_TRUE(check_record(record, block.name, 300'000).ok());
      });
      EXPECT_TRUE(got.ok() || got.error().code == ErrorCode::corrupt) << got.error().message;
    }
    EXPECT_TRUE(put(block_of(200)).ok());
    EXPECT_EQ(get(block_of(200)), record_of(block_of(200)));
  }
}

TEST_F(RocksDbStoreTest, BeginsAnewWhereFilesAreMissingOrNoneOfItsOwn) {
  for (const char* name : {"CURRENT", "MANIFEST"}) {
    ASSERT_TRUE(put(block_of(1)).ok());
    store_.reset();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with(name)) std::ofstream(entry.path()) << "not what it was\n";
    }
    EXPECT_THAT(open(), IsEmpty()) << name;
    EXPECT_TRUE(put(block_of(2)).ok());
    EXPECT_EQ(get(block_of(2)), record_of(block_of(2)));
  }
}

TEST_F(RocksDbStoreTest, FindsAgainWhoseABlockIsAndUntilWhen) {
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

TEST_F(RocksDbStoreTest, LeavesNoByteOfWhatIsCleared) {
  const std::string secret = "the tokens of a prompt that must go";
  TierBlock block = block_of(1);
  auto bytes = std::make_shared<ByteBuffer>(secret.size());
  std::ranges::copy(std::as_bytes(std::span(secret)), bytes->bytes().begin());
  block.bytes = bytes;
  const auto holds_it = [&] {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      if (std::string(std::istreambuf_iterator(file), {}).find(secret) != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(put(block).ok());
  EXPECT_TRUE(holds_it());
  EXPECT_TRUE(store_->clear().ok());
  EXPECT_FALSE(holds_it());
  EXPECT_EQ(store_->state().bytes, 0U);
  EXPECT_THAT(get(block), IsEmpty());
  EXPECT_TRUE(put(block_of(2)).ok());
  EXPECT_THAT(open(), ElementsAre(block_of(2).name.key));
}

TEST_F(RocksDbStoreTest, LeavesAStoreAloneThatAnotherProcessHasOpen) {
  ASSERT_TRUE(put(block_of(1)).ok());
  RocksDbStore second({folder_.string(), kLimit, nullptr});
  EXPECT_FALSE(second.open().ok());
  EXPECT_FALSE(second.put(block_of(2).entry(), {}, {}).ok());
  EXPECT_EQ(get(block_of(1)), record_of(block_of(1)));
}

TEST_F(RocksDbStoreTest, SaysThatAFolderCannotBeMade) {
  std::ofstream(folder_ / "file") << "x";
  RocksDbStore store({(folder_ / "file" / "in").string(), kLimit, nullptr});
  const auto opened = store.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("cannot make the folder"));
}

}  // namespace
}  // namespace headwater::cache
