#include "kernels/memory_limits.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

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

/// A hierarchy of control groups that counts memory.
struct Hierarchy {
  bool v2 = false;
  std::string root;         ///< the group that is mounted
  std::string mount_point;  ///< where
};

/// Source: proc.rst, "mountinfo": id parent device root mount_point options … - type source super_options.
std::vector<Hierarchy> hierarchies(const std::string& proc) {
  std::vector<Hierarchy> found;
  std::ifstream file(proc + "/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string skipped, type, source, options;
    Hierarchy hierarchy;
    words >> skipped >> skipped >> skipped >> hierarchy.root >> hierarchy.mount_point;
    while (words >> skipped && skipped != "-") {
    }
    words >> type >> source >> options;
    hierarchy.v2 = type == "cgroup2";
    const bool memory = ("," + options + ",").find(",memory,") != std::string::npos;
    if (hierarchy.v2 || (type == "cgroup" && memory)) found.push_back(hierarchy);
  }
  return found;
}

/// This process's group in a hierarchy: a line "0::/path" (v2) or "4:memory:/path" (v1).
std::string own_group(const std::string& proc, bool v2) {
  std::ifstream file(proc + "/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool ours = v2 ? controllers == ",," : controllers.find(",memory,") != std::string::npos;
    if (ours) return line.substr(second + 1);
  }
  return "";
}

/// Adds the bounds of one group. Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. What lies on
/// the lists of file pages is given back before anything fails; tmpfs is not on them.
void add_group(const std::string& folder, const std::string& name, bool v2, std::vector<MemoryLimit>& limits) {
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

/// The groups from the process's own up to the one that is mounted: each bounds all below it.
void add_groups(const MemorySources& sources, std::vector<MemoryLimit>& limits) {
  const std::string proc = sources.root + "/proc";
  for (const Hierarchy& hierarchy : hierarchies(proc)) {
    std::string group = own_group(proc, hierarchy.v2);
    // A container may see another name for its group than the one that is mounted.
    if (hierarchy.root != "/" && group.starts_with(hierarchy.root)) group.erase(0, hierarchy.root.size());
    const std::string mount_point = sources.root + hierarchy.mount_point;
    while (!group.empty() && group != "/") {
      add_group(mount_point + group, group, hierarchy.v2, limits);
      group.erase(group.find_last_of('/') == std::string::npos ? 0 : group.find_last_of('/'));
    }
    add_group(mount_point, "/", hierarchy.v2, limits);
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
  add_groups(sources, limits);
  add_rlimits(sources, limits);
  return limits;
}

MemoryLimit least_available(const std::vector<MemoryLimit>& limits) {
  const auto least = std::ranges::min_element(limits, {}, &MemoryLimit::available);
  return least == limits.end() ? MemoryLimit{"the machine", kNoLimit, kNoLimit} : *least;
}

}  // namespace headwater::kernels
