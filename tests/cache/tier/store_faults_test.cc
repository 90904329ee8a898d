// Calls of the system that fail, each of them at each place of a run of a store: nothing ends the process, no wrong
// byte is given, what was erased stays erased, and once the fault is over the store opens and goes on.

#include <algorithm>
#include <set>

#include "tests/cache/tier/faulty_files.h"
#include "tests/cache/tier/store_fixture.h"

namespace headwater::cache {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::size_t kBytes = 30'000;

class StoreFaults : public StoreFixture {
 protected:
  struct Run {
    std::set<Key> erased;  ///< with success, and not put again
    std::vector<std::string> errors;
  };

  static TierBlock block(unsigned i, std::size_t bytes) { return block_of(i, {}, bytes); }
  static const TierBlock& block(unsigned i) {
    static const std::vector<TierBlock> blocks = [] {
      std::vector<TierBlock> made;
      for (unsigned n = 0; n < 101; ++n) made.push_back(block(n, kBytes));
      return made;
    }();
    return blocks.at(i);
  }

  /// A disk on which little more than 2 MiB are free, so that a life is short.
  class SmallDisk : public FaultyFiles {
   public:
    int stat_disk(int fd, struct statvfs* to) override {
      const int failed = FaultyFiles::stat_disk(fd, to);
      to->f_frsize = 1;
      to->f_bavail = 2'200'000;
      return failed;
    }
  };

  /// A life of a store: filled beyond its room, read, replaced, erased, opened anew, cleared. What fails is noted, and
  /// the store opened anew, as TierBooks has it done.
  Run live(FaultyFiles& files) {
    Run run;
    SegmentStore store({parent_.string(), kLimit, &files});
    const auto note = [&](const auto& result) {
      if (result.ok()) return true;
      run.errors.push_back(result.error().message);
      if (result.error().code == ErrorCode::corrupt) return false;
      if (const auto opened = store.open(); !opened.ok()) run.errors.push_back(opened.error().message);
      return false;
    };
    note(store.open());
    const auto put = [&](unsigned i) {
      if (note(put_block(store, block(i)))) run.erased.erase(block(i).name.key);
    };
    const auto erase = [&](std::initializer_list<unsigned> which) {
      std::vector<Key> keys;
      for (unsigned i : which) keys.push_back(block(i).name.key);
      if (note(store.erase(keys))) run.erased.insert(keys.begin(), keys.end());
    };
    const auto get = [&](unsigned i) {
      note(store.get(block(i).name.key, [&](std::span<const std::byte> record) {
        EXPECT_TRUE(std::ranges::equal(record, record_of(block(i)))) << i;
      }));
    };
    for (unsigned i = 0; i < 8; ++i) put(i);
    put(2);
    erase({1, 3, 4});
    for (unsigned i = 0; i < 8; ++i) get(i);
    note(store.open());
    for (unsigned i = 8; i < 56; ++i) put(i);
    get(55);
    erase({52, 53, 54, 55});
    if (note(store.clear())) {
      for (unsigned i = 0; i < 56; ++i) run.erased.insert(block(i).name.key);
    }
    put(60);
    put(61);
    erase({60});
    return run;
  }

  /// After the fault: what is there is right, nothing that was erased is, and the store takes more.
  void expect_sound(const Run& run) {
    const auto keys = open();
    std::map<Key, unsigned> blocks;
    for (unsigned i = 0; i < 62; ++i) blocks[block(i).name.key] = i;
    for (const Key& key : keys) {
      EXPECT_FALSE(run.erased.contains(key)) << "block " << blocks.at(key);
      EXPECT_EQ(get(block(blocks.at(key))), record_of(block(blocks.at(key))));
    }
    EXPECT_LE(bytes_on_disk(), kLimit);
    EXPECT_TRUE(put(block(100)).ok());
    EXPECT_EQ(get(block(100)), record_of(block(100)));
    store_.reset();
  }
};

TEST_F(StoreFaults, AnyCallMayFailAtAnyPlace) {
  SmallDisk sound;
  EXPECT_THAT(live(sound).errors, IsEmpty());
  EXPECT_EQ(sound.open_files, 0);
  const int calls = sound.calls;
  ASSERT_GT(calls, 300);
  const int errors[] = {EIO, ENOSPC, EMFILE, EROFS};
  for (int n = 0; n < calls && !HasFailure(); ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    std::filesystem::remove_all(parent_);
    SmallDisk files;
    const int error = errors[n % 4];
    files.fault = [&](const std::string&, int number) { return number == n ? error : 0; };
    const Run run = live(files);
    EXPECT_EQ(files.open_files, 0) << "a descriptor is left open";
    expect_sound(run);
  }
}

/// From some call on everything fails, or every call of a kind.
TEST_F(StoreFaults, ADeviceMayGoAtAnyPlace) {
  SmallDisk sound;
  live(sound);
  const int calls = sound.calls;
  const std::vector<std::string> kinds = {"", "open", "write", "sync", "read", "stat_path", "remove"};
  for (int n = 0; n < calls && !HasFailure(); n += 7) {
    const std::string& kind = kinds[static_cast<std::size_t>(n / 7) % kinds.size()];
    SCOPED_TRACE("from call " + std::to_string(n) + " on " + kind);
    std::filesystem::remove_all(parent_);
    SmallDisk files;
    files.fault = [&](const std::string& call, int number) {
      return number >= n && (kind.empty() || call == kind) ? EIO : 0;
    };
    const Run run = live(files);
    EXPECT_EQ(files.open_files, 0);
    expect_sound(run);
  }
}

TEST_F(StoreFaults, WritesOnWhereTheSystemTakesAPart) {
  SmallDisk files;
  files.most_written = 1000;
  int interrupted = 0;
  files.fault = [&](const std::string& call, int number) {
    return (call == "write" || call == "read") && number % 5 == 0 && ++interrupted > 0 ? EINTR : 0;
  };
  const Run run = live(files);
  EXPECT_THAT(run.errors, IsEmpty());
  EXPECT_GT(interrupted, 0);
  expect_sound(run);
}

TEST_F(StoreFaults, TakesABadPlaceOnTheDiskForALostRecord) {
  FaultyFiles files;
  open(kLimit, &files);
  EXPECT_TRUE(put(block(1)).ok());
  EXPECT_TRUE(put(block(2)).ok());
  files.fault = [](const std::string& call, int) { return call == "read" ? EIO : 0; };
  const auto got = store_->get(block(1).name.key, [](auto) { FAIL(); });
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::corrupt);
  files.fault = [](const std::string&, int) { return 0; };
  EXPECT_EQ(get(block(2)), record_of(block(2)));
  store_.reset();
}

TEST_F(StoreFaults, SaysWhatItCannotDoWhereAndWhy) {
  FaultyFiles files;
  open(kLimit, &files);
  files.fault = [](const std::string& call, int) { return call == "open" ? EMFILE : 0; };
  EXPECT_EQ(put(block(1)).error().message, "cannot open a file in " + folder_.string() + ": Too many open files");
  files.fault = [](const std::string& call, int) { return call == "write" ? EROFS : 0; };
  EXPECT_EQ(put(block(1)).error().message, "cannot write in " + folder_.string() + ": Read-only file system");
  files.fault = [](const std::string& call, int) { return call == "lock" ? ENOLCK : 0; };
  EXPECT_THAT(store_->open().error().message, HasSubstr("cannot lock " + folder_.string()));
  store_.reset();
}

/// A disk of some bytes: beyond them, writing fails.
class FullDisk : public FaultyFiles {
 public:
  explicit FullDisk(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::uint64_t size = 6 << 20;
  bool tells = true;  ///< how much is left
  int stat_disk(int fd, struct statvfs* to) override {
    if (FaultyFiles::stat_disk(fd, to) != 0) return -1;
    to->f_frsize = 1;
    to->f_bavail = tells ? size - std::min(size, used()) : 1ULL << 40U;
    return 0;
  }
  ssize_t write(int fd, const void* from, std::size_t bytes, off_t at) override {
    struct stat now {};
    FileSystem::stat(fd, &now);
    const auto end = static_cast<std::uint64_t>(at) + bytes;
    if (end > static_cast<std::uint64_t>(now.st_size) && used() + bytes > size) {
      errno = ENOSPC;
      return -1;
    }
    return FaultyFiles::write(fd, from, bytes, at);
  }

 private:
  std::uint64_t used() const {
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) bytes += file.file_size();
    return bytes;
  }
  std::filesystem::path folder_;
};

TEST_F(StoreFaults, KeepsTheLatestOnADiskThatIsSmallerThanItsLimit) {
  for (const bool tells : {true, false}) {
    SCOPED_TRACE(tells);
    std::filesystem::remove_all(parent_);
    FullDisk disk(folder_);
    disk.tells = tells;
    open(kLimit, &disk);
    std::size_t dropped = 0;
    for (unsigned i = 0; i < 50; ++i) {
      const auto gone = put(block(i, 300'000));
      ASSERT_TRUE(gone.ok()) << gone.error().message;
      dropped += gone->size();
      EXPECT_EQ(get(block(i, 300'000)), record_of(block(i, 300'000)));
      EXPECT_LE(store_->state().bytes, disk.size);
    }
    EXPECT_GT(dropped, 25U);
    EXPECT_LT(dropped, 42U);
    if (!tells) {
      EXPECT_THAT(store_->take_notes(), testing::ElementsAre(HasSubstr("the disk is full: goes on with ")));
    }
    disk.size = 64 << 20;  // there is room again
    std::size_t later = 0;
    for (unsigned i = 50; i < 80; ++i) later += put(block(i, 300'000))->size();
    EXPECT_LT(later, 10U);
    store_.reset();
  }
}

TEST_F(StoreFaults, SaysThatTheDiskIsFullWhereNothingOfItsOwnCanGo) {
  FullDisk disk(folder_);
  open(kLimit, &disk);
  EXPECT_TRUE(put(block(1)).ok());
  disk.size = 0;
  EXPECT_THAT(put(block(2)).error().message, HasSubstr("No space left on device"));
  EXPECT_EQ(get(block(1)), record_of(block(1)));
  EXPECT_TRUE(store_->open().ok());
  disk.size = 64 << 20;
  EXPECT_TRUE(store_->open().ok());
  EXPECT_TRUE(put(block(2)).ok());
  EXPECT_EQ(get(block(2)), record_of(block(2)));
  store_.reset();
}

}  // namespace
}  // namespace headwater::cache
