#include "kernels/compute_cpus.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>

#include "kernels/control_groups.h"

namespace headwater::kernels {
namespace {

/// Lines of the system's files are short; what is longer is none of its.
constexpr std::size_t kMostBytes = 1U << 16U;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

/// What both lists have.
CpuList common(const CpuList& a, const CpuList& b) {
  CpuList both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return both;
}

/// The allowed CPUs that are one core with `cpu`, itself among them.
CpuList core_of(const CpuSources& sources, unsigned cpu) {
  constexpr std::size_t kMostThreads = 8;  // of a core, on any processor; a list of more comes from a wrong machine
  const std::string folder = sources.root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  for (const char* file : {"core_cpus_list", "thread_siblings_list"}) {  // the second is the name before Linux 5.3
    const auto listed = parse_cpu_list(text_of(folder + file));
    if (!listed || listed->empty()) continue;
    if (listed->size() > kMostThreads || !std::ranges::binary_search(*listed, cpu)) break;
    return common(*listed, sources.allowed);
  }
  return {cpu};
}

/// The nodes' allowed CPUs, by the nodes' numbers. A CPU that no node has, or another one has too, is the first's.
std::vector<CpuList> nodes_of(const CpuSources& sources) {
  std::vector<std::pair<unsigned, CpuList>> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(sources.root + "/sys/devices/system/node", failed), end;
       !failed && entry != end; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    unsigned number = 0;
    if (!name.starts_with("node")) continue;
    if (const auto [last, error] = std::from_chars(name.data() + 4, name.data() + name.size(), number);
        error != std::errc() || last != name.data() + name.size())
      continue;
    if (const auto cpus = parse_cpu_list(text_of(entry->path().string() + "/cpulist")))
      found.emplace_back(number, *cpus);
  }
  std::ranges::sort(found);
  CpuList left = sources.allowed;
  std::vector<CpuList> nodes;
  for (const auto& [number, cpus] : found) {
    CpuList own = common(cpus, left);
    if (own.empty()) continue;  // it has memory alone, or is not ours
    CpuList rest;
    std::ranges::set_difference(left, own, std::back_inserter(rest));
    left = std::move(rest);
    nodes.push_back(std::move(own));
  }
  if (nodes.empty()) return {sources.allowed};
  nodes.front().insert(nodes.front().end(), left.begin(), left.end());
  std::ranges::sort(nodes.front());
  return nodes;
}

/// A whole number at the front of the text, and what follows it. None: something else stands there, such as "max".
std::optional<std::int64_t> whole_number(std::string_view& text) {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t\n")));
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}
std::optional<std::int64_t> whole_number(const std::string& text) {
  std::string_view rest = text;
  return whole_number(rest);
}

/// CPUs' worth of time that a group may take. Source: Documentation/admin-guide/cgroup-v2.rst, "cpu.max", and
/// Documentation/scheduler/sched-bwc.rst. None: as much as it likes.
std::optional<double> quota_of(const ControlGroup& group) {
  constexpr std::int64_t kPeriod = 100000;  // where the file names none
  std::optional<std::int64_t> quota, period;
  if (group.v2) {
    const std::string text = text_of(group.folder + "/cpu.max");
    std::string_view rest = text;
    quota = whole_number(rest);
    period = whole_number(rest);
  } else {
    quota = whole_number(text_of(group.folder + "/cpu.cfs_quota_us"));
    period = whole_number(text_of(group.folder + "/cpu.cfs_period_us"));
  }
  if (!quota || *quota <= 0 || period.value_or(kPeriod) <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(period.value_or(kPeriod));
}

/// Threads that use up a quota best: one for each whole CPU, and one for the rest where that is at least a fifth of
/// them. Then what it adds is more than what is lost while all wait for the first that the system stops; see
/// docs/PERFORMANCE.md. A twentieth that is missing to a whole one counts as there.
unsigned threads_of(double quota) {
  const double whole = std::max(1.0, std::floor(quota + 0.05));
  return static_cast<unsigned>(quota - whole >= whole / 5 ? whole + 1 : whole);
}

std::string plural(unsigned n, const char* what) {
  std::string text = std::to_string(n);
  text.append(" ").append(what);
  if (n != 1) text.append("s");
  return text;
}

std::string quota_text(const ComputeCpus& of) {
  char number[32];
  std::snprintf(number, sizeof number, "%.4g", of.quota);
  std::string text = number;
  return text.append(" CPUs of control group ").append(of.quota_of);
}

}  // namespace

CpuSources CpuSources::own() {
  CpuSources sources{"", affinity()};
  if (sources.allowed.empty()) {
    sources.allowed.resize(std::max(1U, std::thread::hardware_concurrency()));
    std::iota(sources.allowed.begin(), sources.allowed.end(), 0U);
  }
  return sources;
}

ComputeCpus compute_cpus(const CpuSources& sources) {
  if (sources.allowed.empty()) return compute_cpus({sources.root, {0}});
  ComputeCpus found;
  found.cpus = static_cast<unsigned>(sources.allowed.size());
  found.nodes = nodes_of(sources);
  // Of two CPUs, both: on the smallest virtual machines they may be one core's, whose second thread still adds a
  // little, and the rest of the server has no other.
  const bool all = found.cpus <= 2;
  std::vector<unsigned> siblings;
  for (unsigned node = 0; node < found.nodes.size(); ++node) {
    for (const unsigned cpu : found.nodes[node]) {
      const bool first = all || core_of(sources, cpu).front() == cpu;
      (first ? found.order : siblings).push_back(node);
    }
  }
  found.cores = static_cast<unsigned>(found.order.size());
  found.order.insert(found.order.end(), siblings.begin(), siblings.end());
  for (const ControlGroup& group : control_groups(sources.root, "cpu")) {
    const auto quota = quota_of(group);
    if (!quota || *quota >= (found.quota > 0 ? found.quota : found.cpus)) continue;
    found.quota = *quota;
    found.quota_of = group.name;
  }
  found.threads = found.quota > 0 ? std::min(found.cores, threads_of(found.quota)) : found.cores;
  return found;
}

const ComputeCpus& own_compute_cpus() {
  static const ComputeCpus own = compute_cpus(CpuSources::own());
  return own;
}

std::vector<CpuList> ComputeCpus::places(unsigned n) const {
  std::vector<unsigned> taken;  // the node of each thread
  taken.reserve(n);
  for (unsigned i = 0; i < n; ++i) taken.push_back(order[i % order.size()]);
  std::ranges::sort(taken);
  if (taken.empty() || taken.front() == taken.back()) return {};
  std::vector<CpuList> places;
  places.reserve(n);
  for (const unsigned node : taken) places.push_back(nodes[node]);
  return places;
}

std::string ComputeCpus::describe(std::uint32_t asked) const {
  const unsigned n = resolve(asked);
  std::string text = plural(n, "thread");
  text.append(asked > 0 ? ", as asked for (of " : " (of ").append(plural(cpus, "CPU"));
  if (quota > 0) text.append("; quota ").append(quota_text(*this));
  if (cores < cpus && n <= cores) text.append("; SMT siblings left out");
  if (!places(n).empty()) text.append("; each kept to its NUMA node of ").append(std::to_string(nodes.size()));
  return text.append(")");
}

std::string ComputeCpus::warning(std::uint32_t asked) const {
  const bool beyond_quota = quota > 0 && asked > threads_of(quota);
  if (asked <= cpus && !beyond_quota) return "";
  std::string text = plural(asked, "compute thread");
  text.append(asked == 1 ? " is" : " are").append(" more than the ");
  if (beyond_quota) {
    return text.append("quota of ").append(quota_text(*this)).append(" pays for: the system will stop all of them");
  }
  return text.append(plural(cpus, "CPU")).append(" that this process may use: they will wait for each other");
}

}  // namespace headwater::kernels
