#pragma once
// Whether the pool holds what some sequences will need of it together, as far as can be foreseen: the one question that
// decides whether another is let in. Who is let in too early is preempted, and what the cache had for others is gone.
//
// Threading: one caller at a time.

#include <cstdint>
#include <span>

#include "cache/window.h"
#include "kernels/block_grid.h"
#include "schedule/length_guess.h"

namespace headwater::schedule {

/// What blocks hold, and what they take.
struct PoolShape {
  kernels::BlockGrid grid;
  std::uint32_t total_blocks = 0;
  cache::WindowOptions window{};    ///< where layers have a window, what counts is bytes
  std::uint32_t prefill_chunk = 0;  ///< tokens before the window that a prompt's step has rows of
};

/// A sequence from now until it ends.
struct Stay {
  std::uint32_t tokens = 0;       ///< prompt and what has been generated
  std::uint32_t most_tokens = 0;  ///< whose keys and values it may come to need
  std::uint32_t blocks = 0;       ///< that it has
  std::uint32_t shared = 0;       ///< of them, those that count for another
  std::uint32_t delay = 0;        ///< steps until those that each generate a token
  RestOfAnswer rest;
};

/// Whether the pool likely holds what all of them take, in every step until the last ends. Each that ends gives back
/// what it has. O(n) for n stays, at no more than 64 times.
bool room_lasts(std::span<const Stay> stays, const PoolShape& pool);

/// Whether it does even if all of them get as long as they may, side by side.
bool room_for_the_longest(std::span<const Stay> stays, const PoolShape& pool);

}  // namespace headwater::schedule
