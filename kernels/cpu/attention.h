#pragma once
// Causal attention over the KV arena: cuts the work into tasks for the threads.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/attention_plan.h"
#include "kernels/cpu/kv_arena.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/thread_pool.h"

namespace headwater::kernels::cpu {

enum class AttentionPath : std::uint8_t {
  generic,
  vnni,  ///< of a quantised cache; otherwise generic
  bf16,  ///< of a 16-bit cache by VDPBF16PS; otherwise vnni
  amx,
};

/// What a path needs that this machine does not have; empty: nothing.
std::string_view lacking(AttentionPath path);

/// Whether the other paths can take such heads, on a machine that has them.
bool tiles_take(std::uint32_t head_dim, std::uint32_t block_tokens, const KvFormat& format);

/// What queries are multiplied by, so that a key gives a score to the base of two.
float query_scale(const AttentionShape& shape);

class Attention {
 public:
  /// path: for the layers whose heads it can take. Throws std::logic_error for one that this machine does not have.
  explicit Attention(AttentionPath path, const KvFormat& format = {});
  /// With a kernel for the layers that tiles_take().
  Attention(const AttentionKernel& tiles, const KvFormat& format);

  /// qkv: [rows, n_heads + 2 * n_kv_heads, head_dim], queries rotated and scaled; out: [rows, n_heads * head_dim]. The
  /// arena holds the keys and values of all rows. Every row's query sees its own token and those before it, but for
  /// what lies before shape.window: of blocks that no row sees neither the numbers nor the entries in the tables
  /// matter. With a window or a cap it is always the generic path.
  void run(const KvArena& arena, const AttentionShape& shape, std::span<const SequenceRows> sequences, const float* qkv,
           float* out, ThreadPool& pool);

 private:
  struct Call;

  const AttentionKernel& kernel_;
  const AttentionKernel& generic_kernel_;
  AttentionPlan plan_;
  std::vector<float> gathered_;  ///< of units that are cut: [split] Gathered
  std::vector<float> kept_;      ///< between phases: [slot, 2 + head_dim] the greatest score, the total and the sums
};

namespace reference {
/// Attention of one query over the tokens [from, seen) of a sequence, whose blocks are as KvArena keeps them. query:
/// [head_dim], scaled as above. cap: of QueryRows. out: [head_dim].
void attend(const float* query, const Bf16* const* blocks, std::size_t head_dim, std::size_t block_tokens,
            std::size_t from, std::size_t seen, float cap, float* out);
/// The same for quantised blocks, laid out as `codes` says, the first one in 8 bits where it holds fewer tokens; values
/// that are kept rotated are left so.
void attend_codes(const float* query, const std::byte* const* blocks, const CodeTarget& codes, const BlockGrid& grid,
                  std::size_t from, std::size_t seen, float cap, float* out);
}  // namespace reference

}  // namespace headwater::kernels::cpu
