#include "kernels/cpu/kv_arena.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

namespace headwater::kernels::cpu {

KvArena::KvArena(const KvShape& shape, std::uint32_t n_blocks) : shape_(shape) {
  bytes_ = block_bytes(shape) * n_blocks;
  void* map = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  madvise(map, bytes_, MADV_HUGEPAGE);
  memory_ = static_cast<Half*>(map);
}

KvArena::~KvArena() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

KvArena::KvArena(KvArena&& other) noexcept { *this = std::move(other); }

KvArena& KvArena::operator=(KvArena&& other) noexcept {
  std::swap(shape_, other.shape_);
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::uint64_t KvArena::block_bytes(const KvShape& shape) {
  return std::uint64_t{shape.n_layers} * shape.n_kv_heads * shape.head_dim * shape.block_tokens * 2 * sizeof(Half);
}

void KvArena::write(Half* head, std::uint32_t slot, const Half* key, const Half* value) const {
  const std::uint32_t tokens = shape_.block_tokens;
  for (std::uint32_t i = 0; i < shape_.head_dim; ++i) head[std::size_t{i} * tokens + slot] = key[i];
  Half* values = head + std::size_t{shape_.head_dim} * tokens;
  std::memcpy(values + std::size_t{slot} * shape_.head_dim, value, shape_.head_dim * sizeof(Half));
}

}  // namespace headwater::kernels::cpu
