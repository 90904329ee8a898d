#include "tools/eval/kv_room.h"

#include <algorithm>
#include <stdexcept>

#include "cache/window.h"

namespace headwater::eval {
namespace {

/// What a server has by default.
constexpr std::uint32_t kBlockTokens = 32;
constexpr std::uint32_t kStepTokens = 512;
/// A server has no more blocks.
constexpr std::uint64_t kMostBlocks = 1U << 24U;

std::optional<kernels::KvBlockBytes> block_bytes(const model::Architecture& model, const kernels::KvFormat& format) {
  try {
    return model.kv_block_bytes(kBlockTokens, format);
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

}  // namespace

std::optional<KvRoom> kv_room(const model::Architecture& model, const kernels::KvFormat& format, std::uint64_t memory) {
  const auto bytes = block_bytes(model, format);
  if (!bytes) return std::nullopt;
  const std::uint32_t window = model.shape().kv_window;
  const cache::WindowOptions pool{window, bytes->full, bytes->windowed, memory};
  const std::uint64_t blocks = std::min(cache::pool_blocks(pool, kBlockTokens, kStepTokens), kMostBlocks);
  KvRoom room;
  room.tokens = kernels::block_grid(format, kBlockTokens).begin(static_cast<std::uint32_t>(blocks));
  room.bytes_per_token = window > 0 && room.tokens > 0 ? static_cast<double>(memory) / static_cast<double>(room.tokens)
                                                       : static_cast<double>(bytes->total()) / kBlockTokens;
  return room;
}

}  // namespace headwater::eval
