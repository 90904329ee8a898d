#pragma once
// The paged KV cache in host memory: bfloat16, one mapping, touched only where blocks are used.
//
// A block holds, for each layer and KV head, keys [head_dim / 2][block_tokens][2] and then values
// [block_tokens / 2][head_dim][2]: neighbours along a product's sum lie side by side, as AMX and VDPBF16PS take them,
// and a plain kernel gets two floats out of 32 bits by a shift and a mask.

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"

namespace headwater::kernels::cpu {

/// bfloat16 bits.
using Bf16 = std::uint16_t;

/// Where a key's and a value's numbers lie in a head of a block. head_dim and block_tokens are even.
[[gnu::always_inline]] constexpr std::size_t key_place(std::size_t block_tokens, std::size_t token, std::size_t i) {
  return (i / 2 * block_tokens + token) * 2 + i % 2;
}
[[gnu::always_inline]] constexpr std::size_t value_place(std::size_t head_dim, std::size_t block_tokens,
                                                         std::size_t token, std::size_t i) {
  return head_dim * block_tokens + (token / 2 * head_dim + i) * 2 + token % 2;
}

class KvArena {
 public:
  KvArena() = default;
  /// Throws std::bad_alloc; std::invalid_argument for an odd head_dim, or block_tokens other than 2, 4, … 256.
  KvArena(const KvShape& shape, std::uint32_t n_blocks);
  ~KvArena();
  KvArena(KvArena&& other) noexcept;
  KvArena& operator=(KvArena&& other) noexcept;

  static std::uint64_t block_bytes(const KvShape& shape);

  /// Keys and values of one head in one block.
  Bf16* head(std::int32_t block, std::uint32_t layer, std::uint32_t kv_head) const {
    const std::size_t place = (static_cast<std::size_t>(block) * shape_.n_layers + layer) * shape_.n_kv_heads + kv_head;
    return memory_ + place * 2 * shape_.head_dim * shape_.block_tokens;
  }
  const KvShape& shape() const { return shape_; }

 private:
  KvShape shape_;
  Bf16* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace headwater::kernels::cpu
