#include "kernels/cpu/page_warmer.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <limits>
#include <system_error>

#include "kernels/memory_limits.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace headwater::kernels::cpu {
namespace {

/// A huge page: what is under way is soon done when the thread is to end.
constexpr std::size_t kPiece = std::size_t{1} << 21U;
/// An eighth of the memory stays.
constexpr std::size_t kLeave = 8;

/// Bytes that can be taken so that a part is left to others.
std::size_t bytes_to_spare() {
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (const MemoryLimit& limit : memory_limits()) {
    if (limit.counts == MemoryLimit::Counts::reserved) continue;  // these pages are reserved already
    const std::uint64_t leave = limit.limit / kLeave;
    least = std::min(least, limit.available > leave ? limit.available - leave : 0);
  }
  return least;
}

}  // namespace

void PageWarmer::start(std::byte* memory, std::size_t bytes) {
  stop();
  stopped_ = false;
  try {
    thread_ = std::thread([this, memory, bytes] { warm(memory, bytes); });
  } catch (const std::system_error&) {
    // No thread to be had: the pages come with their first touch.
  }
}

void PageWarmer::warm(std::byte* memory, std::size_t bytes) const {
  pthread_setname_np(pthread_self(), "page_warmer");
  const sched_param none{};
  if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0) return;
  std::size_t end = 0;
  try {
    end = std::min(bytes, bytes_to_spare());
  } catch (const std::exception&) {
    return;  // memory is too short even to look
  }
  for (std::size_t at = 0; at < end && !stopped_; at += kPiece) {
    if (madvise(memory + at, std::min(kPiece, end - at), MADV_POPULATE_WRITE) != 0) return;
  }
}

void PageWarmer::stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace headwater::kernels::cpu
