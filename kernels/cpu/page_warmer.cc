#include "kernels/cpu/page_warmer.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <string>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace headwater::kernels::cpu {
namespace {

/// A huge page: what is under way is soon done when the thread is to end.
constexpr std::size_t kPiece = std::size_t{1} << 21U;

/// Bytes that can be taken so that an eighth of the machine's memory is left to others. Source: Linux,
/// Documentation/filesystems/proc.rst, "meminfo".
std::size_t bytes_to_spare() {
  std::ifstream file("/proc/meminfo");
  std::size_t total = 0;
  std::size_t available = 0;
  std::string unit;
  for (std::string name; file >> name; std::getline(file, unit)) {
    if (name == "MemTotal:") file >> total;
    if (name == "MemAvailable:") file >> available;
  }
  return available > total / 8 ? (available - total / 8) * 1024 : 0;
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
