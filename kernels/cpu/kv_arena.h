#pragma once
// The paged KV cache in host memory: 16-bit floats, one mapping, touched only where blocks are used.
//
// A block holds, for each layer and KV head, keys [head_dim, block_tokens] (transposed, so that a query meets the
// tokens of a block side by side) and then values [block_tokens, head_dim].

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu {

class KvArena {
 public:
  KvArena() = default;
  /// Throws std::bad_alloc.
  KvArena(const KvShape& shape, std::uint32_t n_blocks);
  ~KvArena();
  KvArena(KvArena&& other) noexcept;
  KvArena& operator=(KvArena&& other) noexcept;

  static std::uint64_t block_bytes(const KvShape& shape);

  /// Keys and values of one head in one block.
  Half* head(std::int32_t block, std::uint32_t layer, std::uint32_t kv_head) const {
    const std::size_t place = (static_cast<std::size_t>(block) * shape_.n_layers + layer) * shape_.n_kv_heads + kv_head;
    return memory_ + place * 2 * shape_.head_dim * shape_.block_tokens;
  }
  std::uint32_t block_tokens() const { return shape_.block_tokens; }

  /// Writes a token's rounded key and value, [head_dim] each, to `slot` of a head.
  void write(Half* head, std::uint32_t slot, const Half* key, const Half* value) const;

 private:
  KvShape shape_;
  Half* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace headwater::kernels::cpu
