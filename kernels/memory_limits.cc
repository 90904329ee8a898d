#include "kernels/memory_limits.h"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

#include "kernels/control_groups.h"

namespace headwater::kernels {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// The number in a file. None: there is no such file, or it says "max".
std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

/// The sum of the named values in a file of lines "name value …" or "name: value …"; a missing one counts nothing.
std::uint64_t sum_of(const std::string& path, std::initializer_list<std::string_view> names) {
  std::ifstream file(path);
  std::uint64_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t value = 0;
    if (words >> name >> value && std::find(names.begin(), names.end(), name) != names.end()) sum += value;
  }
  return sum;
}

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

/// Source: Linux, Documentation/filesystems/proc.rst, "meminfo"; in KiB.
void add_machine(const MemorySources& sources, std::vector<MemoryLimit>& limits) {
  const std::string file = sources.root + "/proc/meminfo";
  const std::uint64_t total = sum_of(file, {"MemTotal:"}) * 1024;
  if (total > 0) limits.push_back({"the machine", total, std::min(total, sum_of(file, {"MemAvailable:"}) * 1024)});
}

/// Adds the bounds of one group. Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. What lies on
/// the lists of file pages is given back before anything fails; tmpfs is not on them.
void add_group(const ControlGroup& group, std::vector<MemoryLimit>& limits) {
  const auto& [folder, name, v2] = group;
  const auto usage = number_in(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!usage) return;
  const std::string stat = folder + "/memory.stat";
  const std::uint64_t cache = v2 ? sum_of(stat, {"active_file", "inactive_file", "slab_reclaimable"})
                                 : sum_of(stat, {"total_active_file", "total_inactive_file"});
  const auto add = [&](const char* file) {
    const auto limit = number_in(folder + "/" + file);
    constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 60U;  // v1 writes "none" as a number near 2^63
    if (!limit || *limit >= kUnlimited) return;
    limits.push_back({"the control group " + name + " (" + file + ")", *limit, minus(*limit, minus(*usage, cache))});
  };
  if (v2) {
    add("memory.max");
    add("memory.high");
  } else {
    add("memory.limit_in_bytes");
  }
}

void add_rlimits(const MemorySources& sources, std::vector<MemoryLimit>& limits) {
  const auto add = [&](const char* name, rlim_t limit, const char* taken) {
    if (limit == RLIM_INFINITY) return;
    const std::uint64_t used = sum_of(sources.root + "/proc/self/status", {taken}) * 1024;
    limits.push_back({name, limit, minus(limit, used), MemoryLimit::Counts::reserved});
  };
  add("ulimit -v", sources.address_space, "VmSize:");
  add("ulimit -d", sources.data, "VmData:");
}

}  // namespace

MemorySources MemorySources::own() {
  MemorySources sources;
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0) sources.address_space = limit.rlim_cur;
  if (getrlimit(RLIMIT_DATA, &limit) == 0) sources.data = limit.rlim_cur;
  return sources;
}

std::vector<MemoryLimit> memory_limits(const MemorySources& sources) {
  std::vector<MemoryLimit> limits;
  add_machine(sources, limits);
  for (const ControlGroup& group : control_groups(sources.root, "memory")) add_group(group, limits);
  add_rlimits(sources, limits);
  return limits;
}

MemoryLimit least_available(const std::vector<MemoryLimit>& limits) {
  const auto least = std::ranges::min_element(limits, {}, &MemoryLimit::available);
  return least == limits.end() ? MemoryLimit{"the machine", kNoLimit, kNoLimit} : *least;
}

}  // namespace headwater::kernels
