#pragma once
// Layers with a window: they look no further back than so many tokens, and what they have kept of earlier ones can be
// given back while the rest of a block, which holds the layers that see all, stays.

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "kernels/block_grid.h"

namespace headwater::cache {

/// What a model's blocks take.
struct WindowOptions {
  std::uint32_t tokens = 0;      ///< that layers with a window see at most, the token's own among them; 0: none has one
  std::uint64_t full_bytes = 0;  ///< of a block, in the layers that see all tokens
  std::uint64_t window_bytes = 0;  ///< of a block, in those with a window: its window rows
  std::uint64_t pool_bytes = 0;    ///< for all blocks together
};

/// Blocks to give up so that one can be granted: those without window rows free little.
std::uint32_t victims_for_one(const WindowOptions& options);

/// Blocks that a pool of options.pool_bytes is cut into. Where layers have a window they are more than have room with
/// all their rows, so that one sequence may have them all: it then has window rows for what it sees, and for two steps
/// of `step_tokens`. 0: not one has room.
std::uint64_t pool_blocks(const WindowOptions& options, const kernels::BlockGrid& grid, std::uint64_t step_tokens);

/// The first block of a sequence that its token `next` and those after it see through a window.
constexpr std::uint32_t first_in_window(std::uint32_t next, std::uint32_t window, const kernels::BlockGrid& grid) {
  return window == 0 || next < window ? 0 : grid.block_of(next + 1 - window);
}

/// Of a sequence's blocks, those whose window rows it holds: [first, end).
struct WindowSpan {
  std::uint32_t first = 0, end = 0;
};

/// Bytes that blocks take, in the layers that see all tokens and in those with a window.
struct KvBytes {
  std::uint64_t full = 0, window = 0;
};

/// Memory that goes back to the system.
struct GivenBack {
  std::vector<BlockId> blocks;   ///< all that they have
  std::vector<BlockId> windows;  ///< blocks' window rows
  /// Of each of `windows`, how often it had been computed once more. The scheduler decides that by itself: what crosses
  /// its word of it on the way is not given back.
  std::vector<std::uint32_t> refills;

  bool empty() const { return blocks.empty() && windows.empty(); }
};

}  // namespace headwater::cache
