#include "kernels/cpu/kv_arena.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/cpu/kv_codes.h"

namespace headwater::kernels::cpu {

namespace {

/// Throws std::invalid_argument.
std::size_t head_bytes_of(const KvShape& shape) {
  if (shape.format.quantised() && (shape.head_dim % 8 != 0 || shape.head_dim > kMostQuantisedDims)) {
    throw std::invalid_argument("a quantised KV cache needs heads of a multiple of 8 up to " +
                                std::to_string(kMostQuantisedDims) + ", and the model has heads of " +
                                std::to_string(shape.head_dim));
  }
  if (!shape.format.quantised()) return std::size_t{2} * shape.head_dim * shape.block_tokens * sizeof(Bf16);
  return code_layout(shape.format.key_bits, shape.format.value_bits, shape.head_dim, shape.block_tokens).end;
}

void check_block_size(std::size_t bytes, const KvShape& shape) {
  if (bytes != KvArena::block_bytes(shape)) {
    throw std::invalid_argument(std::to_string(bytes) + " bytes for a block of " +
                                std::to_string(KvArena::block_bytes(shape)));
  }
}

}  // namespace

KvArena::KvArena(const KvShape& shape, std::uint32_t n_blocks, std::span<const float> centres)
    : shape_(shape), centres_(centres.begin(), centres.end()), head_size_(head_bytes_of(shape)) {
  if (shape.head_dim % 2 != 0) {
    throw std::invalid_argument("the KV cache keeps pairs: a head of " + std::to_string(shape.head_dim) + " is odd");
  }
  const std::uint32_t least_tokens = shape.format.quantised() ? 8 : 2;
  if (!std::has_single_bit(shape.block_tokens) || shape.block_tokens < least_tokens || shape.block_tokens > 256) {
    throw std::invalid_argument("blocks of " + std::to_string(shape.block_tokens) +
                                " tokens, expected a power of two from " + std::to_string(least_tokens) + " to 256");
  }
  bytes_ = block_bytes(shape) * n_blocks;
  void* map = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  madvise(map, bytes_, MADV_HUGEPAGE);
  memory_ = static_cast<std::byte*>(map);
}

KvArena::~KvArena() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

KvArena::KvArena(KvArena&& other) noexcept { *this = std::move(other); }

KvArena& KvArena::operator=(KvArena&& other) noexcept {
  std::swap(shape_, other.shape_);
  std::swap(centres_, other.centres_);
  std::swap(head_size_, other.head_size_);
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void KvArena::copy_block(std::int32_t from, std::int32_t to) const {
  if (from != to) std::memcpy(head_bytes(to, 0, 0), head_bytes(from, 0, 0), block_bytes(shape_));
}

void KvArena::read_block(std::int32_t block, std::span<std::byte> out) const {
  check_block_size(out.size(), shape_);
  std::memcpy(out.data(), head_bytes(block, 0, 0), out.size());
}

void KvArena::write_block(std::int32_t block, std::span<const std::byte> bytes) const {
  check_block_size(bytes.size(), shape_);
  std::memcpy(head_bytes(block, 0, 0), bytes.data(), bytes.size());
}

std::uint64_t KvArena::block_bytes(const KvShape& shape) {
  return std::uint64_t{shape.n_layers} * shape.n_kv_heads * head_bytes_of(shape);
}

}  // namespace headwater::kernels::cpu
