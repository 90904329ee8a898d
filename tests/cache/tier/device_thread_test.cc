#include "cache/tier/device_thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace headwater::cache {
namespace {

using Done = DeviceThread::Done;

TEST(DeviceThread, RunsJobsOneAfterTheOtherAndThenWhatIsLeftToDo) {
  std::vector<int> order;
  std::promise<void> all;
  DeviceThread thread;
  for (int i = 0; i < 5; ++i) {
    thread.post([&, i]() -> Done {
      order.push_back(i);
      return [&, i] {
        order.push_back(10 + i);
        if (i == 4) all.set_value();
      };
    });
  }
  all.get_future().wait();
  EXPECT_EQ(order, (std::vector{0, 10, 1, 11, 2, 12, 3, 13, 4, 14}));
}

TEST(DeviceThread, WaitsForTheJobThatRunsAndDropsTheOthers) {
  std::promise<void> begun;
  std::atomic<int> ran{0}, done{0};
  {
    DeviceThread thread(std::chrono::minutes(1));
    thread.post([&]() -> Done {
      begun.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ++ran;
      return [&] { ++done; };
    });
    begun.get_future().wait();
    thread.post([&]() -> Done {
      ++ran;
      return [] {};
    });
  }
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(done, 0) << "nobody is there to hear of it";
}

TEST(DeviceThread, LeavesAJobBehindThatHangs) {
  struct Shared {
    std::promise<void> gate, begun, ended;
    std::atomic<bool> done{false};
  };
  const auto shared = std::make_shared<Shared>();
  {
    DeviceThread thread(std::chrono::milliseconds(1));
    thread.post([shared]() -> Done {
      shared->begun.set_value();
      shared->gate.get_future().wait();
      shared->ended.set_value();
      return [shared] { shared->done = true; };
    });
    shared->begun.get_future().wait();
  }
  shared->gate.set_value();  // the device answers, and nobody is there
  shared->ended.get_future().wait();
  EXPECT_FALSE(shared->done);
}

/// Ends the process with 0 where a write beyond the limit says so.
[[noreturn]] void write_beyond_the_limit() {
  struct rlimit limit {};
  limit.rlim_cur = limit.rlim_max = 100;
  setrlimit(RLIMIT_FSIZE, &limit);
  char path[] = "/tmp/headwater_limit_XXXXXX";
  const int fd = mkstemp(path);
  unlink(path);
  std::promise<int> error;
  DeviceThread thread;
  thread.post([&]() -> Done {
    const std::string text(200, 'x');
    const bool written = pwrite(fd, text.data(), text.size(), 100) >= 0;
    error.set_value(written ? 0 : errno);
    return [] {};
  });
  _exit(error.get_future().get() == EFBIG ? 0 : 1);
}

TEST(DeviceThread, ALimitOnTheSizeOfFilesIsAnErrorAndNotTheEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(write_beyond_the_limit(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace headwater::cache
