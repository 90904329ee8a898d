#include "kernels/compute_cpus.h"

#include <gmock/gmock.h>

#include <numeric>

#include "tests/kernels/fake_system.h"

namespace headwater::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

CpuList upto(unsigned n) {
  CpuList cpus(n);
  std::iota(cpus.begin(), cpus.end(), 0U);
  return cpus;
}

class OfCpus : public FakeSystem {
 protected:
  void write_topology(unsigned cpu, const std::string& file, const std::string& list) const {
    std::string path = "/sys/devices/system/cpu/cpu";
    write(path.append(std::to_string(cpu)).append("/topology/").append(file), list);
  }
  /// CPUs 0 … 2n - 1, of which i and i + n are one core.
  void write_cores(unsigned n) const {
    for (unsigned cpu = 0; cpu < 2 * n; ++cpu) {
      std::string both = std::to_string(cpu % n);
      both.append(",").append(std::to_string(cpu % n + n)).append("\n");
      write_topology(cpu, "core_cpus_list", both);
      write_topology(cpu, "thread_siblings_list", both);
    }
  }
  void write_node(unsigned node, const std::string& cpus) const {
    std::string path = "/sys/devices/system/node/node";
    write(path.append(std::to_string(node)).append("/cpulist"), cpus);
  }
  ComputeCpus plan(CpuList allowed) const { return compute_cpus({root(), std::move(allowed)}); }
};

TEST_F(OfCpus, AllComputeWhereNothingIsKnown) {
  const ComputeCpus found = plan(upto(6));
  EXPECT_EQ(found.threads, 6U);
  EXPECT_EQ(found.describe(0), "6 threads (of 6 CPUs)");
  EXPECT_THAT(found.places(6), IsEmpty());
  EXPECT_EQ(plan({}).threads, 1U);
  EXPECT_EQ(plan({3}).describe(0), "1 thread (of 1 CPU)");
}

TEST_F(OfCpus, OneOfEachCoreComputes) {
  write_cores(4);
  EXPECT_EQ(plan(upto(8)).threads, 4U);
  EXPECT_EQ(plan(upto(8)).describe(0), "4 threads (of 8 CPUs; SMT siblings left out)");
  EXPECT_EQ(plan(upto(8)).describe(6), "6 threads, as asked for (of 8 CPUs)");
}

TEST_F(OfCpus, TheSiblingComputesWhereTheOtherIsNotAllowed) {
  write_cores(4);
  EXPECT_EQ(plan({1, 2, 3, 4, 5}).threads, 4U) << "0 is not ours, so 4 is a core of its own; 5 is the sibling of 1";
  EXPECT_EQ(plan({4, 5, 6, 7}).threads, 4U);
  EXPECT_EQ(plan({4, 5, 6, 7}).describe(0), "4 threads (of 4 CPUs)");
}

TEST_F(OfCpus, BothOfTwoComputeThoughTheyAreOneCore) {
  write_cores(1);
  EXPECT_EQ(plan(upto(2)).threads, 2U);
  write_cores(2);
  EXPECT_EQ(plan({0, 2}).threads, 2U);
  EXPECT_EQ(plan({0, 1, 2}).threads, 2U) << "of three those that are two cores";
}

TEST_F(OfCpus, TheOldNameOfTheSiblingsIsRead) {
  for (unsigned cpu = 0; cpu < 4; ++cpu) write_topology(cpu, "thread_siblings_list", cpu < 2 ? "0-1" : "2-3");
  EXPECT_EQ(plan(upto(4)).threads, 2U);
}

TEST_F(OfCpus, SiblingsThatCannotBeAreNotBelieved) {
  for (unsigned cpu = 0; cpu < 16; ++cpu) write_topology(cpu, "core_cpus_list", "0-15\n");
  EXPECT_EQ(plan(upto(16)).threads, 16U) << "no core has 16 threads";
  for (unsigned cpu = 0; cpu < 16; ++cpu) write_topology(cpu, "core_cpus_list", cpu == 0 ? "0\n" : "0,20\n");
  EXPECT_EQ(plan(upto(16)).threads, 16U) << "a core is not without itself";
  for (unsigned cpu = 0; cpu < 16; ++cpu) write_topology(cpu, "core_cpus_list", "0-4294967295\n");
  EXPECT_EQ(plan(upto(16)).threads, 16U);
}

TEST_F(OfCpus, AQuotaPaysForItsWholeCpusAndForARestThatIsAFifthOfThem) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  const auto threads_with = [&](const char* text) {
    write("/sys/fs/cgroup/a/cpu.max", text);
    return plan(upto(8)).threads;
  };
  EXPECT_EQ(threads_with("400000 100000\n"), 4U);
  EXPECT_EQ(threads_with("110000 100000\n"), 1U);
  EXPECT_EQ(threads_with("150000 100000\n"), 2U);
  EXPECT_EQ(threads_with("230000 100000\n"), 2U);
  EXPECT_EQ(threads_with("370000 100000\n"), 4U);
  EXPECT_EQ(threads_with("590000 100000\n"), 5U);
  EXPECT_EQ(threads_with("50000 100000\n"), 1U);
  EXPECT_EQ(threads_with("350000\n"), 3U) << "a period of 100 ms where none is named";
  EXPECT_EQ(threads_with("60000 20000\n"), 3U);
  EXPECT_EQ(threads_with("199900 100000\n"), 2U) << "nearly two";
  EXPECT_EQ(threads_with("900000 100000\n"), 8U);
  EXPECT_EQ(threads_with("250000 100000\n"), 3U);
  EXPECT_EQ(plan(upto(8)).describe(0), "3 threads (of 8 CPUs; quota 2.5 CPUs of control group /a)");
}

TEST_F(OfCpus, AQuotaThatIsNoneBoundsNothing) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  for (const char* text : {"max 100000\n", "", "\n", "-1 100000", "0 100000", "100000 0", "200000 -5",
                           "99999999999999999999999 100000", "what"}) {
    write("/sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(plan(upto(8)).threads, 8U) << text;
  }
}

TEST_F(OfCpus, TheSmallestQuotaOnTheWayUpCounts) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a/b/c\n");
  write("/sys/fs/cgroup/a/b/c/cpu.max", "600000 100000\n");
  write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  EXPECT_EQ(plan(upto(8)).threads, 3U);
  EXPECT_THAT(plan(upto(8)).describe(0), HasSubstr("quota 3 CPUs of control group /a)"));
}

TEST_F(OfCpus, AQuotaOfVersionOneIsFoundUnderItsController) {
  write("/proc/self/mountinfo",
        "35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "36 31 0:33 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
  write("/proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/box\n0::/\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "100000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "50000\n");
  EXPECT_EQ(plan(upto(8)).threads, 2U);
  EXPECT_EQ(plan(upto(8)).quota_of, "/box");
}

TEST_F(OfCpus, AQuotaAndSiblingsBoundTogether) {
  write_cores(4);
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  write("/sys/fs/cgroup/a/cpu.max", "600000 100000\n");
  EXPECT_EQ(plan(upto(8)).threads, 4U);
  write("/sys/fs/cgroup/a/cpu.max", "350000 100000\n");
  EXPECT_EQ(plan(upto(8)).describe(0),
            "3 threads (of 8 CPUs; quota 3.5 CPUs of control group /a; SMT siblings left out)");
}

TEST_F(OfCpus, ThreadsOfANodeFollowEachOtherAndStayThere) {
  write_cores(4);
  write_node(0, "0-1,4-5\n");
  write_node(1, "2-3,6-7\n");
  const ComputeCpus found = plan(upto(8));
  EXPECT_EQ(found.threads, 4U);
  const CpuList first = {0, 1, 4, 5};
  const CpuList second = {2, 3, 6, 7};
  EXPECT_THAT(found.places(4), ElementsAre(first, first, second, second));
  EXPECT_THAT(found.places(3), ElementsAre(first, first, second));
  EXPECT_THAT(found.places(6), ElementsAre(first, first, first, first, second, second)) << "then siblings";
  EXPECT_EQ(found.places(11).size(), 11U);
  EXPECT_THAT(found.places(2), IsEmpty()) << "a node has room for them; which one, the system decides";
  EXPECT_THAT(found.places(0), IsEmpty());
  EXPECT_THAT(found.describe(0), HasSubstr("; each kept to its NUMA node of 2)"));
}

TEST_F(OfCpus, NodesKeepWhatTheAffinityLeavesOfThem) {
  write_node(0, "0-3\n");
  write_node(1, "4-7\n");
  write_node(2, "\n");
  write_node(10, "8-9\n");
  const ComputeCpus found = plan({2, 3, 4, 8});
  EXPECT_THAT(found.nodes, ElementsAre(CpuList{2, 3}, CpuList{4}, CpuList{8}));
  EXPECT_THAT(found.places(4), ElementsAre(CpuList{2, 3}, CpuList{2, 3}, CpuList{4}, CpuList{8}));
  EXPECT_EQ(plan({4, 5, 6}).nodes.size(), 1U);
}

TEST_F(OfCpus, NodesThatContradictEachOtherLoseNoCpu) {
  write_node(0, "0-2\n");
  write_node(1, "2-5\n");
  write_node(2, "what\n");
  write("/sys/devices/system/node/nodes/cpulist", "0-7\n");
  write("/sys/devices/system/node/node7x/cpulist", "0-7\n");
  write("/sys/devices/system/node/has_cpu", "0-1\n");
  const ComputeCpus found = plan(upto(7));
  EXPECT_THAT(found.nodes, ElementsAre(CpuList{0, 1, 2, 6}, CpuList{3, 4, 5}));
  EXPECT_EQ(found.threads, 7U);
}

TEST_F(OfCpus, MoreThanAThousandAreCounted) {
  write_cores(1024);
  write_node(0, "0-511,1024-1535\n");
  write_node(1, "512-1023,1536-2047\n");
  const ComputeCpus found = plan(upto(2048));
  EXPECT_EQ(found.threads, 1024U);
  EXPECT_EQ(found.places(1024).back().back(), 2047U);
}

TEST_F(OfCpus, WhatIsAskedForIsTakenAndMoreThanThereIsIsWarnedOf) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  const ComputeCpus four = plan(upto(4));
  EXPECT_EQ(four.resolve(9), 9U);
  EXPECT_EQ(four.resolve(0), 4U);
  EXPECT_EQ(four.warning(0), "");
  EXPECT_EQ(four.warning(4), "");
  EXPECT_EQ(four.warning(5),
            "5 compute threads are more than the 4 CPUs that this process may use: they will wait for each other");
  write("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(plan(upto(4)).warning(3), "");
  EXPECT_THAT(plan(upto(4)).warning(4),
              HasSubstr("4 compute threads are more than the quota of 2.5 CPUs of control group /a"));
}

TEST(OwnCpus, AreThoseOfThisProcess) {
  const ComputeCpus& own = own_compute_cpus();
  EXPECT_EQ(own.cpus, affinity().size());
  EXPECT_GE(own.threads, 1U);
  EXPECT_LE(own.threads, own.cpus);
  EXPECT_EQ(own.order.size(), own.cpus);
}

}  // namespace
}  // namespace headwater::kernels
