#include "kernels/cpu_affinity.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <memory>

namespace headwater::kernels {
namespace {

/// More than any kernel is built for. Bounds what a wrong file may cost.
constexpr unsigned kMostCpus = 1U << 16U;

struct FreeSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
/// Of so many CPUs, none in it; null: no memory.
std::unique_ptr<cpu_set_t, FreeSet> make_set(unsigned cpus) {
  std::unique_ptr<cpu_set_t, FreeSet> set(CPU_ALLOC(cpus));
  if (set != nullptr) CPU_ZERO_S(CPU_ALLOC_SIZE(cpus), set.get());
  return set;
}

/// A number, taken off the front of the text.
std::optional<unsigned> take_number(std::string_view& text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number >= kMostCpus) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

}  // namespace

std::optional<CpuList> parse_cpu_list(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  std::vector<bool> listed;
  while (!text.empty()) {
    const auto first = take_number(text);
    auto last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = take_number(text);
    }
    if (!first || !last || *last < *first) return std::nullopt;
    listed.resize(std::max<std::size_t>(listed.size(), *last + 1));
    std::fill(listed.begin() + *first, listed.begin() + *last + 1, true);
    if (text.empty()) break;
    if (!text.starts_with(',') || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  CpuList cpus;
  for (unsigned cpu = 0; cpu < listed.size(); ++cpu) {
    if (listed[cpu]) cpus.push_back(cpu);
  }
  return cpus;
}

CpuList affinity() {
  for (unsigned n = CPU_SETSIZE; n <= kMostCpus; n *= 2) {
    const auto set = make_set(n);
    const std::size_t size = CPU_ALLOC_SIZE(n);
    if (set == nullptr) break;
    if (sched_getaffinity(0, size, set.get()) != 0) {
      if (errno == EINVAL) continue;  // the system's sets are larger
      break;
    }
    CpuList cpus;
    for (unsigned cpu = 0; cpu < n; ++cpu) {
      if (CPU_ISSET_S(cpu, size, set.get())) cpus.push_back(cpu);
    }
    return cpus;
  }
  return {};
}

bool set_affinity(std::span<const unsigned> cpus) {
  if (cpus.empty()) return false;
  const unsigned n = *std::ranges::max_element(cpus) + 1;
  const auto set = n <= kMostCpus ? make_set(n) : nullptr;
  if (set == nullptr) return false;
  for (const unsigned cpu : cpus) CPU_SET_S(cpu, CPU_ALLOC_SIZE(n), set.get());
  return sched_setaffinity(0, CPU_ALLOC_SIZE(n), set.get()) == 0;
}

}  // namespace headwater::kernels
