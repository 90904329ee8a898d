#pragma once
// The paged KV cache in host memory, touched only where blocks are used.
//
// The layers that see all tokens and those that see a window lie in regions of their own, so that the windowed part of
// a block can be given back. A block has one number for both. Head `h` of a layer begins at
//     region + block * stride + offset of the layer + h * size of its heads.
//
// A head holds keys and then values. In bfloat16: keys [head_dim / 2][block_tokens][2],
// values [block_tokens / 2][head_dim][2]: neighbours along a product's sum lie side by side, as AMX and VDPBF16PS take
// them, and a plain kernel gets two floats out of 32 bits by a shift and a mask. Quantised: see kv_codes.h.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/page_region.h"

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
  /// block_tokens other than 2, 4, … 256, or quantised 8 … 256, or with a first block in 8 bits 16 … 256.
  KvArena(KvGeometry geometry, std::uint32_t n_blocks, const KvMaps& maps = {});

  /// Throws std::invalid_argument for a head_dim that the format cannot hold.
  static KvBlockBytes block_bytes(const KvGeometry& geometry);
  /// Bytes of a head in a block. Throws as above.
  static std::size_t head_size(std::uint32_t head_dim, std::uint32_t block_tokens, const KvFormat& format);

  /// Keys and values of one head in one block, in bfloat16.
  Bf16* head(std::int32_t block, std::uint32_t layer, std::uint32_t kv_head) const {
    return reinterpret_cast<Bf16*>(head_bytes(block, layer, kv_head));
  }
  /// The same in any format.
  std::byte* head_bytes(std::int32_t block, std::uint32_t layer, std::uint32_t kv_head) const {
    const Place& place = places_[layer];
    return place.first + static_cast<std::size_t>(block) * place.stride + kv_head * place.head_size;
  }
  /// Bytes of a layer's head in a block.
  std::size_t head_size(std::uint32_t layer) const { return places_[layer].head_size; }
  /// What is taken from a head's keys, [head_dim]; null: nothing.
  const float* centre(std::uint32_t layer, std::uint32_t kv_head) const {
    if (maps_.centres.empty()) return nullptr;
    return maps_.centres.data() + places_[layer].centres + std::size_t{kv_head} * geometry_.layers[layer].head_dim;
  }
  /// What keys and queries of a layer's heads are multiplied by, each [head_dim, head_dim], a row for each number of
  /// what is given; null: nothing.
  const float* key_maps(std::uint32_t layer) const {
    return maps_.keys.empty() ? nullptr : maps_.keys.data() + places_[layer].maps;
  }
  const float* query_maps(std::uint32_t layer) const {
    return maps_.queries.empty() ? nullptr : maps_.queries.data() + places_[layer].maps;
  }
  /// What values are stored times, [n_kv_heads]; null: nothing.
  const float* value_scales(std::uint32_t layer) const {
    return maps_.value_scales.empty() ? nullptr : maps_.value_scales.data() + places_[layer].heads;
  }
  /// Gives block `to` all that block `from` holds.
  void copy_block(std::int32_t from, std::int32_t to) const;
  /// All that a block holds, layer after layer. Throws std::invalid_argument for a span of another size than
  /// block_bytes().total().
  void read_block(std::int32_t block, std::span<std::byte> out) const;
  void write_block(std::int32_t block, std::span<const std::byte> bytes) const;
  /// The memory of these whole blocks, and of the windowed layers of those, returns to the system. What they held is
  /// gone, and other blocks keep what they hold. Neighbours in ascending order cost least.
  void give_back(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) const;

  /// What is taken for good once it is written. Nothing where layers have windows: how much of each kind of layer will
  /// be held at once, nobody knows.
  std::span<std::byte> lasting_memory() const;
  const KvGeometry& geometry() const { return geometry_; }

 private:
  /// Where a layer lies.
  struct Place {
    std::byte* first = nullptr;  ///< in block 0
    std::size_t stride = 0;      ///< from block to block
    std::size_t head_size = 0;   ///< bytes of a head in a block
    // Of the layers before it:
    std::size_t heads = 0;
    std::size_t centres = 0;  ///< numbers
    std::size_t maps = 0;     ///< numbers
  };
  /// Layers one after the other that lie side by side.
  struct Run {
    std::byte* first = nullptr;  ///< in block 0
    std::size_t stride = 0;      ///< from block to block
    std::size_t bytes = 0;
  };
  enum Kind : std::uint8_t { full, windowed };
  static constexpr std::size_t kKinds = 2;

  void lay_out();
  void transpose_maps();
  void give_back_region(Kind kind, std::span<const std::int32_t> blocks) const;

  KvGeometry geometry_;
  KvMaps maps_;                ///< those of keys and queries transposed
  std::vector<Place> places_;  ///< [layers]
  std::vector<Run> runs_;      ///< of all layers
  std::array<PageRegion, kKinds> regions_;
  std::array<std::size_t, kKinds> strides_{};  ///< bytes of a block in each
};

}  // namespace headwater::kernels::cpu
