#include "gateway/process_metrics.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <map>

namespace headwater::gateway {
namespace {

std::map<std::string, double> values() {
  std::map<std::string, double> found;
  for (const auto& family : process_metrics()) {
    const auto& metric = family.metric.at(0);
    found[family.name] = family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value;
  }
  return found;
}

TEST(ProcessMetrics, TellOfThisProcess) {
  auto now = values();
  EXPECT_GT(now.at("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(now.at("process_virtual_memory_bytes"), now.at("process_resident_memory_bytes"));
  EXPECT_GE(now.at("process_threads"), 1);
  EXPECT_GE(now.at("process_cpu_seconds_total"), 0);
  EXPECT_LE(now.at("process_start_time_seconds"), static_cast<double>(std::time(nullptr)) + 2);
  EXPECT_GT(now.at("process_start_time_seconds"), static_cast<double>(std::time(nullptr)) - 86'400);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(now.at("process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(ProcessMetrics, CountOpenFilesAsTheyAre) {
  const double before = values().at("process_open_fds");
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(values().at("process_open_fds"), before + 1);
  close(file);
  EXPECT_EQ(values().at("process_open_fds"), before);
}

}  // namespace
}  // namespace headwater::gateway
