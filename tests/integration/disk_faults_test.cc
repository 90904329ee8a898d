// Real disks that fill up, go, and come back, before a runtime starts and while it serves: every answer is right, a
// person is told in a few lines, and once the disk is well the tier is on again by itself. Disks are small file systems
// in memory, mounted for this process alone, or in a file, where one has to hang; where that is not allowed, those
// tests are skipped and say so.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sched.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/greedy_request.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

using testing::HasSubstr;
using State = TierStats::State;

constexpr std::uint32_t kPrompts = 30;  ///< 1.3 MiB of blocks each

class DiskFaults : public testing::Test {
 protected:
  DiskFaults() : model_(tiny_llama({.heads = 8, .kv_heads = 8, .head_dim = 64}).bytes()) {}

  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("headwater_faults_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    before_ = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
    Overrides overrides;
    overrides.enable_prefix_caching = false;
    plain_ = start(overrides);
  }
  void TearDown() override {
    runtime_.reset();
    spdlog::set_default_logger(before_);
    for (const auto& path : mounted_) umount2(path.c_str(), MNT_DETACH);
    std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<Runtime> start(Overrides overrides) {
    overrides.model = model_.path();
    auto runtime =
        Runtime::start(chain_topology("cache_size_limit: 24MiB, quant_policy: \"0\"", 8), "faults.yaml", overrides);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    return std::move(runtime).value();
  }
  void start_at(const std::filesystem::path& path) {
    Overrides overrides;
    overrides.cache_dir = path.string();
    overrides.cache_dir_size = "64MiB";
    runtime_ = start(overrides);
  }

  static std::vector<TokenId> answer(Runtime& runtime, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<TokenId> prompt;
    for (int i = 0; i < 330; ++i) prompt.push_back(static_cast<TokenId>(random() % 250));
    EventLog log;
    const auto client = runtime.connect(log.handler());
    return log.wait(client->submit(greedy_request(prompt, 4))->id).tokens();
  }
  /// The answer is that of a runtime without any cache.
  void ask(std::uint32_t seed) {
    const auto [expected, fresh] = expected_.try_emplace(seed);
    if (fresh) expected->second = answer(*plain_, seed);
    EXPECT_EQ(answer(*runtime_, seed), expected->second) << "prompt " << seed;
  }
  void ask_some(std::uint32_t prompts = 6) {
    for (std::uint32_t seed = 0; seed < prompts; ++seed) ask(seed);
  }

  TierStats tier() const { return runtime_->stats().tier.value(); }
  template <class Condition>
  void wait_until(const Condition& holds) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(100);
    while (!holds()) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "the disk tier did not get there\n" << log();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void wait_until(State state) {
    wait_until([&] { return tier().state == state; });
  }
  /// It is on again and keeps what it is given.
  void expect_well() {
    std::uint32_t seed = 0;
    wait_until([&] {  // that the device was slow is forgotten with the next load that is not
      ask(seed++ % kPrompts);
      return tier().state == State::on;
    });
    const std::uint64_t saved = tier().saved_blocks;
    wait_until([&] {
      ask(seed++ % kPrompts);
      return tier().state == State::on && tier().saved_blocks > saved;
    });
    EXPECT_EQ(tier().mismatches, 0U);
  }
  std::string log() const {
    std::string text;
    for (const std::string& line : sink_->last_formatted()) text += line;
    return text;
  }
  /// About the tier; not counted is that a machine so busy was taken for a device that hangs.
  int lines() const {
    return static_cast<int>(std::ranges::count_if(sink_->last_formatted(), [](const std::string& line) {
      return line.find("disk tier") != std::string::npos && line.find(" answer") == std::string::npos;
    }));
  }

  /// A disk of `size`, as mount takes it, at folder_/disk; false: this machine does not let us.
  bool mount_disk(const std::string& size, unsigned long flags = 0) {
    if (!own_mounts()) return false;
    if (mount("headwater", disk().c_str(), "tmpfs", flags, ("size=" + size).c_str()) != 0) return false;
    mounted_.push_back(disk());
    return true;
  }
  /// Mounts are seen by this process alone from here on.
  bool own_mounts() {
    const bool root = geteuid() == 0;
    if (mounted_.empty() && (unshare(root ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0 ||
                             mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)) {
      return false;
    }
    std::filesystem::create_directories(disk());
    return true;
  }
  /// A disk of 64 MiB in a file, which Freeze can make hang.
  bool mount_file() {
    if (!own_mounts()) return false;
    const std::string file = (folder_ / "image").string();
    const std::string command = "PATH=$PATH:/usr/sbin:/sbin; truncate -s 64M " + file + " && mkfs.ext4 -q -F " + file +
                                " && mount -o loop " + file + " " + disk().string();
    if (std::system((command + " 2>/dev/null").c_str()) != 0) return false;
    mounted_.push_back(disk());
    return true;
  }
  bool remount(unsigned long flags) {
    return mount(nullptr, disk().c_str(), nullptr, MS_REMOUNT | flags, nullptr) == 0;
  }
  std::filesystem::path disk() const { return folder_ / "disk"; }
  /// Another program takes all that is left of the disk.
  void fill_up() {
    std::ofstream file(disk() / "hog", std::ios::app);
    const std::string page(4096, 'x');
    while (file << page << std::flush) {
    }
  }

  TemporaryFile model_;
  std::filesystem::path folder_;
  std::vector<std::filesystem::path> mounted_;
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> sink_ = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(1000);
  std::shared_ptr<spdlog::logger> before_;
  std::map<std::uint32_t, std::vector<TokenId>> expected_;
  std::unique_ptr<Runtime> plain_, runtime_;
};

/// From now on whoever writes to the file system waits, as on a device that does not answer, and cannot be killed. It
/// is let go on in the end even if this process is gone.
class Freeze {
 public:
  explicit Freeze(const std::filesystem::path& path) : fd_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    int ends[2];
    if (fd_ < 0 || pipe(ends) != 0) return;
    if (fork() == 0) {
      close(ends[1]);
      char none = 0;
      const ssize_t closed = read(ends[0], &none, 1);
      ioctl(fd_, FITHAW, 0);
      _exit(static_cast<int>(closed));
    }
    close(ends[0]);
    alive_ = ends[1];
    fcntl(alive_, F_SETFD, FD_CLOEXEC);
    frozen_ = ioctl(fd_, FIFREEZE, 0) == 0;
  }
  ~Freeze() {
    if (frozen_) ioctl(fd_, FITHAW, 0);
    close(alive_);
    close(fd_);
  }
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;

  bool frozen() const { return frozen_; }

 private:
  int fd_ = -1, alive_ = -1;
  bool frozen_ = false;
};

#define HEADWATER_MOUNT(...)                                                                           \
  if (!mount_disk(__VA_ARGS__)) {                                                                      \
    GTEST_SKIP() << "a file system in memory cannot be mounted here (" << std::strerror(errno) << ")"; \
  }

TEST_F(DiskFaults, ADiskSmallerThanTheLimitHoldsTheLatest) {
  for (const char* size : {"17m", "30m"}) {
    SCOPED_TRACE(size);
    HEADWATER_MOUNT(size);
    start_at(disk());
    wait_until(State::on);
    ask_some(kPrompts);
    ask_some(kPrompts);
    EXPECT_EQ(tier().errors, 0U) << log();
    EXPECT_NE(tier().state, State::off);  // a busy machine may be late with a load
    EXPECT_GT(tier().bytes, 8U << 20);
    runtime_.reset();
    umount2(disk().c_str(), MNT_DETACH);
  }
}

TEST_F(DiskFaults, ADiskThatOthersFillUpWhileItServes) {
  HEADWATER_MOUNT("30m");
  start_at(disk());
  wait_until(State::on);
  for (std::uint32_t seed = 0; seed < 8; ++seed) ask(seed);
  fill_up();
  ask_some(kPrompts);
  fill_up();
  ask_some(kPrompts);
  std::filesystem::remove(disk() / "hog");
  expect_well();
  EXPECT_LE(lines(), 8) << log();
}

TEST_F(DiskFaults, ADiskThatIsFullBeforeTheStart) {
  HEADWATER_MOUNT("17m");
  fill_up();
  start_at(disk());
  ask_some();
  EXPECT_EQ(tier().state, State::off);
  EXPECT_THAT(log(), HasSubstr("has no room"));
  EXPECT_THAT(log(), HasSubstr("serving goes on without it, and it is tried again"));
  std::filesystem::remove(disk() / "hog");
  expect_well();
  EXPECT_LE(lines(), 6) << log();
}

TEST_F(DiskFaults, AFolderThatIsDeletedWhileItServes) {
  start_at(folder_ / "kv");
  wait_until(State::on);
  for (int round = 0; round < 2; ++round) {
    ask_some();
    std::filesystem::remove_all(folder_ / "kv");
    ask_some();
    expect_well();
  }
  EXPECT_THAT(log(), HasSubstr("headwater-kv was moved or deleted"));
  EXPECT_LE(lines(), 12) << log();
}

TEST_F(DiskFaults, AFolderThatIsRenamedWhileItServes) {
  start_at(folder_ / "kv");
  wait_until(State::on);
  ask_some();
  std::filesystem::rename(folder_ / "kv", folder_ / "moved");
  ask_some();
  expect_well();
  EXPECT_TRUE(std::filesystem::exists(folder_ / "kv" / "headwater-kv"));
  EXPECT_THAT(log(), HasSubstr("headwater-kv was moved or deleted"));
}

TEST_F(DiskFaults, ADiskThatIsReadOnlyAtTheStart) {
  HEADWATER_MOUNT("30m");
  start_at(disk());
  wait_until(State::on);
  ask(0);
  runtime_.reset();
  ASSERT_TRUE(remount(MS_RDONLY)) << std::strerror(errno);
  start_at(disk());
  ask_some();
  EXPECT_EQ(tier().state, State::off);
  EXPECT_THAT(log(), HasSubstr("Read-only file system"));
  ASSERT_TRUE(remount(0)) << std::strerror(errno);
  expect_well();
  EXPECT_LE(lines(), 6) << log();
}

TEST_F(DiskFaults, ADiskThatIsTakenAwayAndComesBackWhileItServes) {
  HEADWATER_MOUNT("30m");
  start_at(disk());
  wait_until(State::on);
  ask_some();
  ASSERT_EQ(umount2(disk().c_str(), MNT_DETACH), 0);
  ask_some();
  expect_well();  // in the folder below
  ASSERT_TRUE(mount_disk("30m"));
  ask_some();
  expect_well();
  EXPECT_THAT(log(), HasSubstr("was moved or deleted"));
}

TEST_F(DiskFaults, ADeviceThatHangsWhileItServes) {
  if (!mount_file()) GTEST_SKIP() << "a file system in a file cannot be mounted here";
  start_at(disk());
  wait_until(State::on);
  ask_some();
  {
    const Freeze freeze(disk());
    ASSERT_TRUE(freeze.frozen()) << std::strerror(errno);
    std::uint32_t seed = 6;
    wait_until([&] {
      ask(seed++ % kPrompts);
      return tier().state == State::off;
    });
    ask_some();
    EXPECT_THAT(log(), HasSubstr("has not answered for"));
  }
  wait_until([&] { return log().find("answers again") != std::string::npos; });
  expect_well();
}

TEST_F(DiskFaults, ADeviceThatHangsAtTheStartAndStillWhenItStops) {
  if (!mount_file()) GTEST_SKIP() << "a file system in a file cannot be mounted here";
  const Freeze freeze(disk());
  ASSERT_TRUE(freeze.frozen()) << std::strerror(errno);
  start_at(disk());
  ask_some();
  EXPECT_EQ(tier().state, State::off);
  runtime_.reset();  // waits for no device
}

TEST_F(DiskFaults, NoFileDescriptorIsLeft) {
  start_at(folder_ / "kv");
  wait_until(State::on);
  ask(0);
  std::vector<int> taken;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit few{64, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int fd = open("/dev/null", O_RDONLY); fd >= 0; fd = open("/dev/null", O_RDONLY)) taken.push_back(fd);
  ASSERT_EQ(errno, EMFILE);
  ask_some();
  ask_some();
  for (int fd : taken) close(fd);
  expect_well();
  setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_THAT(log(), HasSubstr("Too many open files"));
  EXPECT_LE(lines(), 12) << log();
}

TEST_F(DiskFaults, AFolderThatCannotBeMadeAtTheStart) {
  std::ofstream(folder_ / "kv") << "a file";
  start_at(folder_ / "kv");
  ask_some();
  EXPECT_EQ(tier().state, State::off);
  EXPECT_THAT(log(), HasSubstr("cannot open: cannot make the folder"));
  EXPECT_EQ(lines(), 1) << log();
  std::filesystem::remove(folder_ / "kv");
  expect_well();
}

TEST_F(DiskFaults, ALimitOnTheSizeOfFiles) {
  start_at(folder_ / "kv");
  wait_until(State::on);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{1 << 20, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  ask_some();
  setrlimit(RLIMIT_FSIZE, &limit);
  expect_well();
}

}  // namespace
}  // namespace headwater::test
