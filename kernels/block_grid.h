#pragma once
// Which of a sequence's tokens a block holds. All blocks hold `tokens`, but for the first of a sequence, which may hold
// fewer in the same room: in more bits each.

#include <cstdint>

namespace headwater::kernels {

struct BlockGrid {
  std::uint32_t tokens = 32;  ///< of a block
  std::uint32_t missing = 0;  ///< fewer in the first: 0 … tokens - 1

  constexpr BlockGrid() = default;
  constexpr BlockGrid(std::uint32_t of_block, std::uint32_t missing_of_first = 0)  // NOLINT: most are nothing else
      : tokens(of_block), missing(missing_of_first) {}

  /// The first token's position.
  constexpr std::uint32_t begin(std::uint32_t block) const { return block == 0 ? 0 : block * tokens - missing; }
  constexpr std::uint32_t end(std::uint32_t block) const { return begin(block + 1); }
  /// Tokens that a block holds.
  constexpr std::uint32_t size(std::uint32_t block) const { return block == 0 ? tokens - missing : tokens; }
  constexpr std::uint32_t block_of(std::uint32_t position) const { return (position + missing) / tokens; }
  /// A position's place in its block.
  constexpr std::uint32_t slot(std::uint32_t position) const { return position - begin(block_of(position)); }
  /// Blocks that the first n tokens fill.
  constexpr std::uint32_t whole(std::uint32_t n) const { return (n + missing) / tokens; }
  /// Blocks that the first n tokens lie in.
  constexpr std::uint32_t covering(std::uint32_t n) const { return n == 0 ? 0 : block_of(n - 1) + 1; }
  bool operator==(const BlockGrid&) const = default;
};

}  // namespace headwater::kernels
