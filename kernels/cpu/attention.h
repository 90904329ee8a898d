#pragma once
// Causal attention over the KV arena: cuts the work into tasks for the threads.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/kv_arena.h"
#include "kernels/cpu/thread_pool.h"

namespace headwater::kernels::cpu {

enum class AttentionPath : std::uint8_t { generic, amx };

/// The fastest that this machine has for such a cache. For one shape always the same: they differ in the last bits.
AttentionPath best_attention_path(const KvShape& shape);

/// What queries are multiplied by, so that a key gives a score to the base of two.
float query_scale(std::uint32_t head_dim);

class Attention {
 public:
  /// Throws std::logic_error for a path that this machine does not have.
  explicit Attention(AttentionPath path, const KvFormat& format = {});

  /// qkv: [rows, n_heads + 2 * n_kv_heads, head_dim], queries rotated and scaled; out: [rows, n_heads * head_dim]. The
  /// arena holds the keys and values of all rows. Every row's query sees its own token and those before it.
  void run(const KvArena& arena, const AttentionShape& shape, std::span<const SequenceRows> sequences, const float* qkv,
           float* out, ThreadPool& pool);

 private:
  /// Rows of one sequence and KV head that walk through the context together. Row r is query head r % group of token
  /// r / group.
  struct Unit {
    std::uint32_t sequence, kv_head, first_row, n_rows, n_splits;
    std::uint32_t left = 0;    ///< tasks that are not done, if it is cut
    std::size_t gathered = 0;  ///< where its splits' results begin, if it is cut
  };
  struct Task {
    std::uint32_t unit, first_split, end_split;
  };
  struct Call;

  void plan(const AttentionShape& shape, std::span<const SequenceRows> sequences, std::size_t threads);
  void cut(std::uint32_t unit, std::uint32_t splits_per_task, std::size_t head_dim);

  const AttentionKernel& kernel_;
  std::vector<Unit> units_;
  std::vector<Task> tasks_;
  std::vector<float> gathered_;  ///< of units that are cut: [split] Gathered
  std::size_t gathered_in_use_ = 0;
};

namespace reference {
/// Attention of one query over the first `seen` tokens of a sequence, whose blocks are as KvArena keeps them. query:
/// [head_dim], scaled as above. out: [head_dim].
void attend(const float* query, const Bf16* const* blocks, std::size_t head_dim, std::size_t block_tokens,
            std::size_t seen, float* out);
/// The same for quantised blocks; values that are kept rotated are left so.
void attend_codes(const float* query, const std::byte* const* blocks, const KvShape& shape, std::size_t seen,
                  float* out);
}  // namespace reference

}  // namespace headwater::kernels::cpu
