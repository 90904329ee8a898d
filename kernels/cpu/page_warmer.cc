#include "kernels/cpu/page_warmer.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace headwater::kernels::cpu {
namespace {

/// A huge page: what is under way is soon done when the thread is to end.
constexpr std::size_t kPiece = std::size_t{1} << 21U;
/// An eighth of the memory stays.
constexpr std::size_t kLeave = 8;

/// Of the machine. Source: Linux, Documentation/filesystems/proc.rst, "meminfo".
std::size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::size_t total = 0;
  std::size_t available = 0;
  std::string unit;
  for (std::string name; file >> name; std::getline(file, unit)) {
    if (name == "MemTotal:") file >> total;
    if (name == "MemAvailable:") file >> available;
  }
  return available > total / kLeave ? (available - total / kLeave) * 1024 : 0;
}

/// Of a group of processes, such as a container, whose memory is limited; more than there is for others. Source: Linux,
/// Documentation/admin-guide/cgroup-v2.rst, "memory.max".
std::size_t available_bytes_of_group(const std::string& folder) {
  std::size_t limit = 0;
  std::size_t used = 0;
  if (!(std::ifstream(folder + "/memory.max") >> limit) || !(std::ifstream(folder + "/memory.current") >> used)) {
    return std::numeric_limits<std::size_t>::max();
  }
  return limit > used + limit / kLeave ? limit - used - limit / kLeave : 0;
}

/// Bytes that can be taken so that a part is left to others.
std::size_t bytes_to_spare() {
  const std::string root = "/sys/fs/cgroup";
  std::string group;  // "0::/path"
  std::getline(std::ifstream("/proc/self/cgroup"), group);
  const std::string path = group.starts_with("0::") ? group.substr(3) : "";
  return std::min({available_bytes(), available_bytes_of_group(root), available_bytes_of_group(root + path)});
}

}  // namespace

void PageWarmer::start(std::byte* memory, std::size_t bytes) {
  stop();
  stopped_ = false;
  thread_ = std::thread([this, memory, bytes] {
    pthread_setname_np(pthread_self(), "page_warmer");
    const sched_param none{};
    if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0) return;
    const std::size_t end = std::min(bytes, bytes_to_spare());
    for (std::size_t at = 0; at < end && !stopped_; at += kPiece) {
      if (madvise(memory + at, std::min(kPiece, end - at), MADV_POPULATE_WRITE) != 0) return;
    }
  });
}

void PageWarmer::stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace headwater::kernels::cpu
