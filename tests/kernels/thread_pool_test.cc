#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

namespace headwater::kernels::cpu {
namespace {

TEST(ThreadPool, EveryTaskRunsOnceAndIsDoneOnReturn) {
  for (const unsigned threads : {1U, 2U, 3U, 7U}) {
    ThreadPool pool(threads);
    for (const std::size_t n : {0, 1, 2, 3, 17, 1000}) {
      std::vector<int> runs(n);
      pool.run(n, [&](std::size_t i) { ++runs[i]; });
      EXPECT_EQ(runs, std::vector<int>(n, 1)) << threads << " threads";
    }
  }
}

TEST(ThreadPool, AnExceptionOfATaskReachesTheCallerWhenAllOthersAreDone) {
  for (const unsigned threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    std::atomic<int> runs{0};
    const auto throw_at = [&](std::size_t bad) {
      pool.run(100, [&](std::size_t i) {
        ++runs;
        if (i >= bad) throw std::bad_alloc();
      });
    };
    for (const std::size_t bad : {0U, 50U, 99U}) EXPECT_THROW(throw_at(bad), std::bad_alloc) << threads;
    runs = 0;
    throw_at(100);
    EXPECT_EQ(runs, 100) << "and the pool goes on";
  }
}

TEST(ThreadPool, ManyShortOperationsFollowEachOther) {
  ThreadPool pool(3);
  std::vector<std::uint64_t> sums(5);
  for (int round = 0; round < 20000; ++round) {
    pool.run(sums.size(), [&](std::size_t i) { sums[i] += i + 1; });
  }
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}), 20000U * 15);
}

TEST(ThreadPool, SleepingThreadsWakeForTheNextOperation) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    // Each task waits for the other to begin: one thread alone would wait for ever.
    std::atomic<int> begun{0};
    pool.run(2, [&](std::size_t) {
      ++begun;
      while (begun < 2) std::this_thread::yield();
    });
    EXPECT_EQ(begun, 2);
  }
}

TEST(ThreadPool, ThreadsStayInTheirPlacesAndTheCallerAsItIs) {
  const CpuList all = affinity();
  const std::vector<CpuList> places = {{all.front()}, {all.back()}, {60000}};
  ThreadPool pool(3, places);
  std::vector<CpuList> seen(3);
  // Each task waits for all to begin, so that every thread has one.
  std::atomic<int> begun{0};
  pool.run(3, [&](std::size_t) {
    seen[ThreadPool::this_thread()] = affinity();
    ++begun;
    while (begun < 3) std::this_thread::yield();
  });
  EXPECT_EQ(seen[0], all);
  EXPECT_EQ(seen[1], places[1]);
  EXPECT_EQ(seen[2], all) << "there is no such place";
}

TEST(ThreadPool, AThreadThatIsHeldUpHoldsUpNothingButItsTask) {
  ThreadPool pool(3);
  constexpr std::size_t kTasks = 64;
  std::atomic<std::size_t> done{0};
  std::atomic<bool> held{false};
  pool.run(kTasks, [&](std::size_t) {
    // Whoever comes first goes on when the others have done everything else, its own share of it, too.
    if (!held.exchange(true)) {
      while (done < kTasks - 1) std::this_thread::yield();
    }
    ++done;
  });
  EXPECT_EQ(done, kTasks);
}

TEST(ThreadPool, DifferentCallersTakeTurns) {
  ThreadPool pool(2);
  std::size_t total = 0;
  for (int caller = 0; caller < 10; ++caller) {
    std::thread([&] {
      std::vector<std::size_t> parts(64);
      pool.run(parts.size(), [&](std::size_t i) { parts[i] = i; });
      total += std::accumulate(parts.begin(), parts.end(), std::size_t{0});
    }).join();
  }
  EXPECT_EQ(total, 10U * 63 * 64 / 2);
}

}  // namespace
}  // namespace headwater::kernels::cpu
