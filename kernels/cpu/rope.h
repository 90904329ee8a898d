#pragma once
// Rotary position embedding, and the way of keys and values into the arena.
// Source: Su et al. 2021, "RoFormer", section 3.4.2.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kv_arena.h"
#include "kernels/cpu/thread_pool.h"

namespace headwater::kernels::cpu {

/// A token's queries, keys and values, and where they go.
struct RopeTask {
  std::size_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  std::size_t pairs = 0;           ///< that are rotated, of the head_dim / 2
  const float* cosines = nullptr;  ///< [pairs]
  const float* sines = nullptr;    ///< [pairs]
  float query_scale = 1;
  /// [n_heads + 2 * n_kv_heads, head_dim]; queries are turned and scaled in place, keys and values of no use
  /// afterwards.
  float* row = nullptr;
  std::byte* block = nullptr;  ///< the first KV head's keys and values in the token's block
  std::size_t head_bytes = 0;  ///< from there to the next head's
  std::size_t block_tokens = 0, slot = 0;
  KvFormat format{};
  const float* centres = nullptr;  ///< [n_kv_heads, head_dim], taken from the keys; null: nothing is
  // Of a quantised block, null: as they are.
  const float* key_maps = nullptr;      ///< as KvArena has them, of the first head
  const float* query_maps = nullptr;    ///< likewise
  const float* value_scales = nullptr;  ///< [n_kv_heads], values are stored times these
};

/// Tokens whose maps are applied together.
inline constexpr std::size_t kMappedTokens = 16;
/// Tokens of one layer, up to kMappedTokens. Not beside others that share kSharedSlots slots with one of them (from a
/// multiple of it on): they write the same words.
inline constexpr std::size_t kSharedSlots = 8;
void rope_and_store(std::span<const RopeTask> tokens);
/// Each of n rows, [dim], becomes row · map, [dim, dim], summed in the order of the row. dim: a multiple of 8.
void map_rows(const float* map, float* const* rows, std::size_t n, std::size_t dim);
namespace reference {
void rope_and_store(const RopeTask& task);
void map_rows(const float* map, float* const* rows, std::size_t n, std::size_t dim);
}  // namespace reference

/// The angles of all positions so far, and the rows of a batch.
class Rotary {
 public:
  /// See Backend::set_rope().
  void set(std::uint32_t rope, std::span<const float> inverse_frequencies, float magnitude = 1);
  void rotate_and_store(const KvArena& arena, const AttentionShape& shape, std::span<const SequenceRows> sequences,
                        float* qkv, ThreadPool& pool);

 private:
  /// Rows of a sequence that end at a multiple of kSharedSlots or with the sequence.
  struct Chunk {
    std::uint32_t sequence, row, n_rows;
  };

  struct Table {
    float magnitude = 1;
    std::vector<float> frequencies;     // [pairs]
    std::vector<float> cosines, sines;  // [positions, pairs], times the magnitude

    /// Angles for positions below `positions`.
    void extend(std::size_t positions);
  };
  /// Gives the number of rows.
  std::size_t plan(std::span<const SequenceRows> sequences, const BlockGrid& grid, Table& table);

  std::array<Table, kMaxRopes> tables_;
  std::vector<Chunk> chunks_;
};

}  // namespace headwater::kernels::cpu
