#pragma once
// The paged KV cache in host memory: one mapping, touched only where blocks are used.
//
// A block holds, for each layer and KV head, keys and then values. In bfloat16: keys [head_dim / 2][block_tokens][2],
// values [block_tokens / 2][head_dim][2]: neighbours along a product's sum lie side by side, as AMX and VDPBF16PS take
// them, and a plain kernel gets two floats out of 32 bits by a shift and a mask. Quantised: see kv_codes.h.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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
  /// Throws std::bad_alloc; std::invalid_argument for a head_dim that is odd, or quantised no multiple of 8, or
  /// block_tokens other than 2, 4, … 256, or quantised 8 … 256.
  KvArena(const KvShape& shape, std::uint32_t n_blocks, std::span<const float> centres = {});
  ~KvArena();
  KvArena(KvArena&& other) noexcept;
  KvArena& operator=(KvArena&& other) noexcept;

  static std::uint64_t block_bytes(const KvShape& shape);

  /// Keys and values of one head in one block, in bfloat16.
  Bf16* head(std::int32_t block, std::uint32_t layer, std::uint32_t kv_head) const {
    return reinterpret_cast<Bf16*>(head_bytes(block, layer, kv_head));
  }
  /// The same in any format.
  std::byte* head_bytes(std::int32_t block, std::uint32_t layer, std::uint32_t kv_head) const {
    const std::size_t place = (static_cast<std::size_t>(block) * shape_.n_layers + layer) * shape_.n_kv_heads + kv_head;
    return memory_ + place * head_size_;
  }
  /// What is taken from a head's keys, [head_dim]; null: nothing.
  const float* centre(std::uint32_t layer, std::uint32_t kv_head) const {
    if (centres_.empty()) return nullptr;
    return centres_.data() + (std::size_t{layer} * shape_.n_kv_heads + kv_head) * shape_.head_dim;
  }
  /// Gives block `to` all that block `from` holds.
  void copy_block(std::int32_t from, std::int32_t to) const;
  /// All that a block holds. Throws std::invalid_argument for a span of another size than block_bytes().
  void read_block(std::int32_t block, std::span<std::byte> out) const;
  void write_block(std::int32_t block, std::span<const std::byte> bytes) const;
  const KvShape& shape() const { return shape_; }

 private:
  KvShape shape_;
  std::vector<float> centres_;
  std::size_t head_size_ = 0;  ///< bytes of a head in a block
  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace headwater::kernels::cpu
