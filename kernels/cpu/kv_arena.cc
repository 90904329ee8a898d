#include "kernels/cpu/kv_arena.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/cpu/kv_codes.h"

namespace headwater::kernels::cpu {

namespace {

void check(const KvGeometry& geometry) {
  for (const KvLayer& layer : geometry.layers) {
    if (layer.head_dim % 2 != 0) {
      throw std::invalid_argument("the KV cache keeps pairs: a head of " + std::to_string(layer.head_dim) + " is odd");
    }
  }
  const std::uint32_t least_tokens = geometry.format.first_in_8_bits ? 16 : geometry.format.quantised() ? 8 : 2;
  const std::uint32_t tokens = geometry.block_tokens;
  if (!std::has_single_bit(tokens) || tokens < least_tokens || tokens > 256) {
    throw std::invalid_argument("blocks of " + std::to_string(tokens) + " tokens, expected a power of two from " +
                                std::to_string(least_tokens) + " to 256");
  }
}

std::size_t layer_bytes(const KvGeometry& geometry, const KvLayer& layer) {
  return layer.n_kv_heads * KvArena::head_size(layer.head_dim, geometry.block_tokens, geometry.format);
}

void check_block_size(std::size_t bytes, const KvGeometry& geometry) {
  const std::uint64_t expected = KvArena::block_bytes(geometry).total();
  if (bytes == expected) return;
  throw std::invalid_argument(std::to_string(bytes) + " bytes for a block of " + std::to_string(expected));
}

}  // namespace

KvArena::KvArena(KvGeometry geometry, std::uint32_t n_blocks, const KvMaps& maps)
    : geometry_(std::move(geometry)), maps_(maps) {
  const KvBlockBytes bytes = block_bytes(geometry_);
  check(geometry_);
  strides_ = {bytes.full, bytes.windowed};
  // Where parts of blocks are given back, each begins at a page, so that all of its memory can go.
  const bool parts = bytes.windowed > 0;
  for (std::size_t& stride : strides_) stride = parts ? PageRegion::round_up(stride) : stride;
  // A part is smaller than a huge page, and would take and keep a whole one.
  for (const Kind kind : {full, windowed}) {
    regions_[kind] = PageRegion(strides_[kind] * n_blocks, parts ? PageRegion::Pages::small : PageRegion::Pages::huge);
  }
  if (n_blocks > 0) lay_out();
  transpose_maps();
}

void KvArena::lay_out() {
  std::array<std::size_t, kKinds> offsets{};
  Place next;
  for (std::size_t i = 0; i < geometry_.layers.size(); ++i) {
    const KvLayer& layer = geometry_.layers[i];
    const Kind kind = layer.windowed ? windowed : full;
    next.first = regions_[kind].memory() + offsets[kind];
    next.stride = strides_[kind];
    next.head_size = head_size(layer.head_dim, geometry_.block_tokens, geometry_.format);
    places_.push_back(next);
    const std::size_t bytes = layer_bytes(geometry_, layer);
    offsets[kind] += bytes;
    next.heads += layer.n_kv_heads;
    next.centres += std::size_t{layer.n_kv_heads} * layer.head_dim;
    next.maps += std::size_t{layer.n_kv_heads} * layer.head_dim * layer.head_dim;
    if (i > 0 && geometry_.layers[i - 1].windowed == layer.windowed) {
      runs_.back().bytes += bytes;
    } else {
      runs_.push_back({next.first, strides_[kind], bytes});
    }
  }
}

void KvArena::transpose_maps() {
  for (std::vector<float>* maps : {&maps_.keys, &maps_.queries}) {
    if (maps->empty()) continue;
    float* map = maps->data();
    for (const KvLayer& layer : geometry_.layers) {
      const std::size_t dim = layer.head_dim;
      for (std::uint32_t head = 0; head < layer.n_kv_heads; ++head, map += dim * dim) {
        for (std::size_t i = 0; i < dim; ++i) {
          for (std::size_t k = 0; k < i; ++k) std::swap(map[i * dim + k], map[k * dim + i]);
        }
      }
    }
  }
}

void KvArena::copy_block(std::int32_t from, std::int32_t to) const {
  if (from == to) return;
  for (const Run& run : runs_) {
    std::memcpy(run.first + static_cast<std::size_t>(to) * run.stride,
                run.first + static_cast<std::size_t>(from) * run.stride, run.bytes);
  }
}

void KvArena::read_block(std::int32_t block, std::span<std::byte> out) const {
  check_block_size(out.size(), geometry_);
  std::byte* to = out.data();
  for (const Run& run : runs_) {
    std::memcpy(to, run.first + static_cast<std::size_t>(block) * run.stride, run.bytes);
    to += run.bytes;
  }
}

void KvArena::write_block(std::int32_t block, std::span<const std::byte> bytes) const {
  check_block_size(bytes.size(), geometry_);
  const std::byte* from = bytes.data();
  for (const Run& run : runs_) {
    std::memcpy(run.first + static_cast<std::size_t>(block) * run.stride, from, run.bytes);
    from += run.bytes;
  }
}

void KvArena::give_back(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) const {
  give_back_region(full, blocks);
  give_back_region(windowed, blocks);
  give_back_region(windowed, windows);
}

void KvArena::give_back_region(Kind kind, std::span<const std::int32_t> blocks) const {
  const std::size_t stride = strides_[kind];
  for (std::size_t i = 0, n = 1; i < blocks.size(); i += n, n = 1) {
    while (i + n < blocks.size() && blocks[i + n] == blocks[i + n - 1] + 1) ++n;
    regions_[kind].give_back(static_cast<std::size_t>(blocks[i]) * stride, n * stride);
  }
}

std::span<std::byte> KvArena::lasting_memory() const {
  if (strides_[windowed] > 0) return {};
  return {regions_[full].memory(), regions_[full].bytes()};
}

KvBlockBytes KvArena::block_bytes(const KvGeometry& geometry) {
  KvBlockBytes bytes;
  for (const KvLayer& layer : geometry.layers) {
    (layer.windowed ? bytes.windowed : bytes.full) += layer_bytes(geometry, layer);
  }
  return bytes;
}

std::size_t KvArena::head_size(std::uint32_t head_dim, std::uint32_t block_tokens, const KvFormat& format) {
  if (!format.quantised()) return std::size_t{2} * head_dim * block_tokens * sizeof(Bf16);
  if (head_dim % 8 != 0 || head_dim > kMostQuantisedDims) {
    throw std::invalid_argument("a quantised KV cache needs heads of a multiple of 8 up to " +
                                std::to_string(kMostQuantisedDims) + ", and the model has heads of " +
                                std::to_string(head_dim));
  }
  return code_layout(format.key_bits, format.value_bits, head_dim, block_tokens).end;
}

}  // namespace headwater::kernels::cpu
