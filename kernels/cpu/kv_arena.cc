#include "kernels/cpu/kv_arena.h"

#include <sys/mman.h>

#include <bit>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace headwater::kernels::cpu {

KvArena::KvArena(const KvShape& shape, std::uint32_t n_blocks) : shape_(shape) {
  if (shape.head_dim % 2 != 0) {
    throw std::invalid_argument("the KV cache keeps pairs: a head of " + std::to_string(shape.head_dim) + " is odd");
  }
  if (!std::has_single_bit(shape.block_tokens) || shape.block_tokens < 2 || shape.block_tokens > 256) {
    throw std::invalid_argument("blocks of " + std::to_string(shape.block_tokens) +
                                " tokens, expected a power of two up to 256");
  }
  bytes_ = block_bytes(shape) * n_blocks;
  void* map = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  madvise(map, bytes_, MADV_HUGEPAGE);
  memory_ = static_cast<Bf16*>(map);
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
  return std::uint64_t{shape.n_layers} * shape.n_kv_heads * shape.head_dim * shape.block_tokens * 2 * sizeof(Bf16);
}

}  // namespace headwater::kernels::cpu
