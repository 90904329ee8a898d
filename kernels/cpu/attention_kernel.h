#pragma once
// What computes attention: some query rows of one KV head over one split of the context.
//
// The context is cut at multiples of kSplitTokens; where the first block holds fewer tokens in more bits, it is a split
// of its own, and the context is cut from its end on. A row and a split give the greatest score, the sum of the weights
// 2^(score - greatest), and the sum of the values times their weights; merge() joins splits in the order of the
// context. So a row's result has the same bits whatever rows stand beside it, and whoever computes its splits.

#include <cstddef>
#include <cstdint>

// Files for different instruction sets include this: what is inline here must be inlined, or one set's copy of a
// function would be linked into code for machines that lack it.

namespace headwater::kernels::cpu {

inline constexpr std::size_t kSplitTokens = 256;
/// Rows that any kernel takes at once at most; AttentionKernel::max_rows says it for one.
inline constexpr std::size_t kMaxRows = 128;
/// Rows that go through tiles side by side.
inline constexpr std::size_t kPairedRows = 32;

/// Query rows of one sequence and KV head, in the order of their positions.
struct QueryRows {
  std::size_t head_dim = 0;
  std::size_t block_tokens = 0;
  std::size_t n_rows = 0;                 ///< 1 … kMaxRows
  const float* const* queries = nullptr;  ///< [n_rows] → [head_dim]; times a key they give a score to the base of two
  std::byte* scratch = nullptr;           ///< [AttentionKernel::scratch_bytes(head_dim)], 64-byte aligned
  std::uint8_t key_bits = 16;             ///< as KvFormat has them
  std::uint8_t value_bits = 16;
  float cap = 0;  ///< AttentionShape::cap for scores to the base of two. Only for the generic kernels.
};

/// A part of the context.
struct Split {
  /// As many as hold the last row's tokens: a head of each, in the layout of KvArena (quantised: of kv_codes.h).
  const std::uint16_t* const* blocks = nullptr;
  /// [n_rows], ascending, 0 … kSplitTokens: how many of the split's tokens a row sees. For a row that sees none the
  /// results are of no meaning; the last row sees at least one.
  const std::uint32_t* seen = nullptr;
  /// [n_rows], ascending, 0 … kSplitTokens: the first of the split's tokens that a row sees; null: all see the first.
  /// Only for the generic kernels. Blocks that no row sees are not read.
  const std::uint32_t* from = nullptr;
  /// What the thread will read after this, to be asked for meanwhile.
  const std::uint16_t* const* next_blocks = nullptr;
  std::size_t n_next_blocks = 0;
};

/// What rows have gathered from one split or several.
struct Gathered {
  float* most = nullptr;   ///< [kMaxRows], of which n_rows are used: the greatest score
  float* total = nullptr;  ///< [n_rows]: the sum of the weights
  float* sums = nullptr;   ///< [stored_rows(n_rows), head_dim]: the sum of values by weight
};

/// Rows that a kernel may write where it has `n_rows`.
[[gnu::always_inline]] constexpr std::size_t stored_rows(std::size_t n_rows) {
  return n_rows <= kPairedRows / 2 ? n_rows : (n_rows + kPairedRows - 1) / kPairedRows * kPairedRows;
}

/// Blocks of which lines are asked for in turn: they lie far from each other, so that different banks of memory answer.
inline constexpr std::size_t kSideBySide = 8;
/// Parts in which a kernel asks for what comes next while it computes what there is.
inline constexpr std::size_t kNextParts = kSplitTokens / 16;
/// Asks for part `i` of split.next_blocks, if there is one. head_bytes: of a head in a block.
[[gnu::always_inline]] inline void prefetch_next(const Split& split, std::size_t head_bytes, std::size_t i) {
  constexpr std::size_t kLine = 64;
  constexpr int kToSecondLevel = 2;
  const std::size_t n_lines = (head_bytes + kLine - 1) / kLine;
  const std::size_t end = (i + 1) * n_lines / kNextParts;
  for (std::size_t line = i * n_lines / kNextParts; line < end; ++line) {
    for (std::size_t block = 0; block < split.n_next_blocks; ++block) {
      __builtin_prefetch(reinterpret_cast<const char*>(split.next_blocks[block]) + line * kLine, 0, kToSecondLevel);
    }
  }
}

/// One way to compute. A task calls begin(), gather() for its splits, and end(), all on one thread.
struct AttentionKernel {
  std::size_t max_rows;
  std::size_t (*scratch_bytes)(std::size_t head_dim);
  void (*begin)(const QueryRows& rows);
  void (*gather)(const QueryRows& rows, const Split& split, const Gathered& result);
  void (*end)();
};

/// By Highway for every instruction set. Any even head_dim.
extern const AttentionKernel kGenericAttention;
/// Needs AMX, head_dim a multiple of 16 and block_tokens one of 32.
extern const AttentionKernel kAmxAttention;
/// Needs AVX512_BF16; head_dim and block_tokens as the one before.
extern const AttentionKernel kBf16Attention;
/// The same for a quantised cache. head_dim is a multiple of 8.
extern const AttentionKernel kGenericQuantizedAttention;
/// Needs AVX-512 VNNI; head_dim and block_tokens as the next one.
extern const AttentionKernel kVnniQuantizedAttention;
/// Needs AMX, head_dim a multiple of 16 up to 256 and block_tokens one of 32, or 16 of a first block.
extern const AttentionKernel kAmxQuantizedAttention;

/// out = x * factor, and 0 for -0. Both: [n]. Where denormals count for nothing a sum may vanish below zero: it is -0,
/// but 0 beside a row that sees more, whose tokens were added with a weight of zero.
void scale(const float* x, float factor, std::size_t n, float* out);

/// Joins what rows [first_row, end_row) have gathered with what a later split gave them.
void merge(const Gathered& into, const Gathered& later, std::size_t first_row, std::size_t end_row,
           std::size_t head_dim);

}  // namespace headwater::kernels::cpu
