#include "kernels/memory_limits.h"

#include <gtest/gtest.h>

#include "tests/kernels/fake_system.h"

namespace headwater::kernels {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

class MemoryLimits : public FakeSystem {
 protected:
  void SetUp() override {
    FakeSystem::SetUp();
    write("/proc/meminfo", "MemTotal:  8192 kB\nMemFree:  100 kB\nMemAvailable:  6144 kB\n");
  }
  void write_group(const std::string& folder, const std::string& limit, std::uint64_t used, bool v2) const {
    write(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"), limit + "\n");
    write(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"), std::to_string(used) + "\n");
  }
  MemorySources sources() const { return {.root = root()}; }
  MemoryLimit least() const { return least_available(memory_limits(sources())); }
};

TEST_F(MemoryLimits, AreTheMachinesWhereNothingElseBounds) {
  EXPECT_EQ(least().whose, "the machine");
  EXPECT_EQ(least().limit, 8 * kMiB);
  EXPECT_EQ(least().available, 6 * kMiB);
}

TEST_F(MemoryLimits, OfAGroupCountPageCacheAsAvailable) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  write_group("/sys/fs/cgroup/a", std::to_string(4 * kMiB), 3 * kMiB, true);
  EXPECT_EQ(least().available, kMiB);
  write("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 1048576\nactive_file 524288\nshmem 4096\n");
  EXPECT_EQ(least().whose, "the control group /a (memory.max)");
  EXPECT_EQ(least().available, kMiB * 5 / 2);
}

TEST_F(MemoryLimits, AreTakenFromEveryGroupOnTheWayUp) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a/b/c\n");
  write_group("/sys/fs/cgroup/a/b/c", "max", kMiB, true);
  write_group("/sys/fs/cgroup/a/b", std::to_string(5 * kMiB), kMiB, true);
  write_group("/sys/fs/cgroup/a", std::to_string(3 * kMiB), kMiB, true);
  EXPECT_EQ(least().whose, "the control group /a (memory.max)");
  EXPECT_EQ(least().available, 2 * kMiB);
  write("/sys/fs/cgroup/a/b/memory.high", std::to_string(2 * kMiB));
  EXPECT_EQ(least().whose, "the control group /a/b (memory.high)");
}

TEST_F(MemoryLimits, OfVersionOneAreFoundUnderTheMemoryController) {
  write("/proc/self/mountinfo",
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  write("/proc/self/cgroup", "4:memory:/box\n2:cpu:/\n0::/\n");
  write_group("/sys/fs/cgroup/memory", "9223372036854771712", 7 * kMiB, false);
  write_group("/sys/fs/cgroup/memory/box", std::to_string(2 * kMiB), kMiB, false);
  write("/sys/fs/cgroup/memory/box/memory.stat", "total_inactive_file 262144\ntotal_active_file 262144\n");
  EXPECT_EQ(least().whose, "the control group /box (memory.limit_in_bytes)");
  EXPECT_EQ(least().available, kMiB * 3 / 2);
}

TEST_F(MemoryLimits, OfAContainerAreThoseOfWhatIsMounted) {
  mount_v2("/docker/1234");
  write("/proc/self/cgroup", "0::/docker/1234\n");
  write_group("/sys/fs/cgroup", std::to_string(3 * kMiB), 0, true);
  EXPECT_EQ(least().available, 3 * kMiB);
}

TEST_F(MemoryLimits, OfTheProcessAreReducedByWhatItHas) {
  write("/proc/self/status", "Name:\tx\nVmSize:\t    1024 kB\nVmData:\t     512 kB\n");
  MemorySources from = sources();
  from.address_space = 3 * kMiB;
  const MemoryLimit least = least_available(memory_limits(from));
  EXPECT_EQ(least.whose, "ulimit -v");
  EXPECT_EQ(least.available, 2 * kMiB);
  EXPECT_EQ(least.counts, MemoryLimit::Counts::reserved);
  from.data = kMiB;
  EXPECT_EQ(least_available(memory_limits(from)).whose, "ulimit -d");
  EXPECT_EQ(least_available(memory_limits(from)).available, kMiB / 2);
}

TEST_F(MemoryLimits, ThatAreUsedUpLeaveNothing) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  write_group("/sys/fs/cgroup/a", std::to_string(kMiB), 2 * kMiB, true);
  EXPECT_EQ(least().available, 0U);
}

TEST(OwnMemoryLimits, AreKnown) {
  const MemoryLimit least = least_available(memory_limits());
  EXPECT_GT(least.available, 0U);
  EXPECT_LT(least.limit, std::uint64_t{1} << 50U);
}

}  // namespace
}  // namespace headwater::kernels
