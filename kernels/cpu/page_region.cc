#include "kernels/cpu/page_region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace headwater::kernels::cpu {
namespace {

std::size_t page_bytes() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

PageRegion::PageRegion(std::size_t bytes, Pages pages) {
  if (bytes == 0) return;
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  madvise(map, bytes, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  memory_ = static_cast<std::byte*>(map);
  bytes_ = bytes;
}

PageRegion::~PageRegion() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

PageRegion::PageRegion(PageRegion&& other) noexcept { *this = std::move(other); }

PageRegion& PageRegion::operator=(PageRegion&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void PageRegion::give_back(std::size_t first, std::size_t bytes) const {
  const std::size_t begin = round_up(first);
  const std::size_t end = (first + bytes) / page_bytes() * page_bytes();
  if (begin < end) madvise(memory_ + begin, end - begin, MADV_DONTNEED);
}

std::size_t PageRegion::round_up(std::size_t bytes) { return (bytes + page_bytes() - 1) / page_bytes() * page_bytes(); }

}  // namespace headwater::kernels::cpu
