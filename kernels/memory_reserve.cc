#include "kernels/memory_reserve.h"

#include <sys/mman.h>

#include <atomic>
#include <new>

namespace headwater::kernels {
namespace {

std::atomic<std::size_t> reserve_bytes{0};
std::atomic<void*> reserve{nullptr};

bool take_back() {
  void* memory = mmap(nullptr, reserve_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  void* none = nullptr;
  if (!reserve.compare_exchange_strong(none, memory)) munmap(memory, reserve_bytes);  // another thread has
  return true;
}

/// operator new calls this until it gets memory, or this throws.
void give_up_reserve() {
  if (void* memory = reserve.exchange(nullptr)) {
    munmap(memory, reserve_bytes);
    return;
  }
  // It was not enough, or is used up. In the first case it is still there.
  take_back();
  throw std::bad_alloc();
}

}  // namespace

void keep_memory_reserve(std::size_t bytes) {
  reserve_bytes = bytes;
  take_back();
  std::set_new_handler(give_up_reserve);
}

bool memory_reserve_whole() { return reserve_bytes == 0 || reserve != nullptr || take_back(); }

}  // namespace headwater::kernels
