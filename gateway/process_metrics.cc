#include "gateway/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "gateway/metric_family.h"

namespace headwater::gateway {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

/// The fields of /proc/self/stat behind the command's name, which may hold anything; the first is field 3.
std::vector<std::string> stat_fields() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t end = text.rfind(')');
  std::vector<std::string> fields;
  if (end == std::string::npos) return fields;
  std::istringstream rest(text.substr(end + 1));
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

/// When the system was started, in seconds since 1970.
std::optional<double> boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  }
  return std::nullopt;
}

std::optional<double> open_files() {
  std::error_code error;
  double n = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    ++n;
  }
  if (error) return std::nullopt;
  return n - 1;  // but the one that lists them
}

}  // namespace

std::vector<MetricFamily> process_metrics() {
  std::vector<MetricFamily> all;
  const auto add = [&](const char* name, const char* help, MetricType type, double value) {
    all.push_back(single_metric(name, help, type, value));
  };
  const auto fields = stat_fields();
  const auto field = [&](std::size_t number) { return std::stod(fields[number - 3]); };  // as proc(5) counts
  if (fields.size() > 21) {
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    add("process_cpu_seconds_total", "Processor time of the process, in user and system mode.", MetricType::Counter,
        (field(14) + field(15)) / ticks);
    add("process_threads", "Threads of the process.", MetricType::Gauge, field(20));
    if (const auto boot = boot_time()) {
      add("process_start_time_seconds", "When the process was started, since 1970.", MetricType::Gauge,
          *boot + field(22) / ticks);
    }
    add("process_virtual_memory_bytes", "Address space of the process.", MetricType::Gauge, field(23));
    add("process_resident_memory_bytes", "Memory of the process that is in RAM.", MetricType::Gauge,
        field(24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  if (const auto open = open_files()) {
    add("process_open_fds", "Open file descriptors.", MetricType::Gauge, *open);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    add("process_max_fds", "File descriptors that the process may open.", MetricType::Gauge,
        static_cast<double>(limit.rlim_cur));
  }
  return all;
}

}  // namespace headwater::gateway
