#include "kernels/cpu/attention.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/thread_scratch.h"

namespace headwater::kernels::cpu {
namespace {

Gathered gathered_at(float* memory) { return {memory, memory + kMaxRows, memory + 2 * kMaxRows}; }

const AttentionKernel& kernel_of(AttentionPath path, const KvFormat& format) {
  if (path == AttentionPath::amx) return format.quantised() ? kAmxQuantizedAttention : kAmxAttention;
  if (path >= AttentionPath::vnni && format.quantised()) return kVnniQuantizedAttention;
  if (path == AttentionPath::bf16) return kBf16Attention;
  return format.quantised() ? kGenericQuantizedAttention : kGenericAttention;
}

}  // namespace

std::string_view lacking(AttentionPath path) {
  const CpuFeatures& has = cpu_features();
  if (path == AttentionPath::amx && !has.amx) return "AMX";
  if (path >= AttentionPath::vnni && !has.avx512_vnni) return "AVX-512 VNNI";
  if (path >= AttentionPath::bf16 && !has.avx512_bf16) return "AVX-512 BF16";
  return "";
}

bool tiles_take(std::uint32_t head_dim, std::uint32_t block_tokens, const KvFormat& format) {
  // Of longer heads the sums of whole numbers could overflow.
  return head_dim % 16 == 0 && block_tokens % 32 == 0 && (!format.quantised() || head_dim <= 256);
}

Attention::Attention(AttentionPath path, const KvFormat& format) : Attention(kernel_of(path, format), format) {
  const std::string_view lacked = lacking(path);
  if (!lacked.empty()) throw std::logic_error("this machine has no " + std::string(lacked));
}

Attention::Attention(const AttentionKernel& tiles, const KvFormat& format)
    : kernel_(tiles), generic_kernel_(kernel_of(AttentionPath::generic, format)) {}

float query_scale(const AttentionShape& shape) {
  if (shape.scale != 0) return std::numbers::log2e_v<float> * shape.scale;
  return std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(shape.head_dim));
}

/// What the tasks of one run() share.
struct Attention::Call {
  Attention& attention;
  const AttentionKernel& kernel;
  const KvArena& arena;
  const AttentionShape& shape;
  const float* qkv;
  float* out;

  /// A task's own: its rows, and where each ends to see.
  struct Rows {
    AttentionUnit& unit;
    QueryRows rows;
    const float* queries[kMaxRows];
    std::uint32_t contexts[kMaxRows];
    float* memory;  ///< for two of Gathered
  };

  const AttentionPlan& plan() const { return attention.plan_; }
  const float* query(const AttentionPlan::Query& at) const {
    return qkv + (std::size_t{at.row} * (shape.n_heads + 2 * shape.n_kv_heads) + at.head) * shape.head_dim;
  }
  float* result(const AttentionPlan::Query& at) const {
    return out + (std::size_t{at.row} * shape.n_heads + at.head) * shape.head_dim;
  }
  /// What a query has gathered in the phases before.
  float* kept(const AttentionPlan::Query& at) const {
    return attention.kept_.data() + plan().slot(at) * (2 + shape.head_dim);
  }

  void prepare(Rows& task, std::size_t index) const {
    const AttentionUnit& unit = task.unit;
    const std::size_t dim = shape.head_dim;
    for (std::uint32_t r = 0; r < unit.n_rows; ++r) {
      const AttentionPlan::Query at = plan().query(unit, r);
      task.queries[r] = query(at);
      task.contexts[r] = at.context;
      if (unit.ends) ask_for<1>(result(at));
    }
    if (index + 1 < plan().tasks().size()) {
      const AttentionUnit& next = attention.plan_.units()[plan().tasks()[index + 1].unit];
      for (std::uint32_t r = 0; r < next.n_rows; ++r) ask_for<0>(query(plan().query(next, r)));
    }
    const std::size_t kernel_bytes = (kernel.scratch_bytes(dim) + 63) / 64 * 64;
    std::byte* scratch = thread_scratch(kernel_bytes + 2 * gathered_size(unit.n_rows, dim) * sizeof(float));
    const KvFormat& format = arena.geometry().format;
    task.rows = {dim,
                 arena.geometry().block_tokens,
                 unit.n_rows,
                 task.queries,
                 scratch,
                 format.key_bits,
                 format.value_bits,
                 shape.cap * std::numbers::log2e_v<float>};
    task.memory = reinterpret_cast<float*>(scratch + kernel_bytes);
  }

  /// Asks for the lines of a head's vector, to be read (0) or written (1) a few microseconds later.
  template <int kWrite>
  void ask_for(const float* vector) const {
    constexpr std::size_t kLine = 16;
    for (std::size_t i = 0; i < shape.head_dim; i += kLine) __builtin_prefetch(vector + i, kWrite, 2);
  }

  const BlockGrid& splits() const { return plan().splits(); }
  /// Whether a split is a first block that is kept in 8 bits.
  bool in_8_bits(std::uint32_t split) const { return split == 0 && splits().missing > 0; }
  std::uint32_t block_tokens(std::uint32_t split) const {
    return in_8_bits(split) ? splits().size(0) : arena.geometry().block_tokens;
  }
  QueryRows rows_for(const Rows& task, std::uint32_t split) const {
    QueryRows rows = task.rows;
    rows.block_tokens = block_tokens(split);
    if (in_8_bits(split)) rows.key_bits = rows.value_bits = 8;
    return rows;
  }

  /// The first row that sees something of a split.
  std::size_t first_seeing(const Rows& task, std::uint32_t split) const {
    std::size_t row = 0;
    while (task.contexts[row] <= splits().begin(split)) ++row;
    return row;
  }

  /// The first token that a row sees which has this context.
  std::uint32_t first_token(std::uint32_t context) const {
    return shape.window > 0 && context > shape.window ? context - shape.window : 0;
  }

  /// The blocks of a split that hold its token `begin` and later ones, up to the last that some row of the unit sees:
  /// how many there are of the split.
  std::uint32_t find_blocks(const AttentionUnit& unit, std::uint32_t split, std::uint32_t begin,
                            const Bf16** blocks) const {
    const SequenceRows& sequence = plan().sequences()[unit.sequence];
    const std::uint32_t tokens = block_tokens(split);
    const std::uint32_t first = splits().begin(split);
    const std::uint32_t first_block = arena.geometry().grid().block_of(first);
    const std::uint32_t seen = std::min(plan().query(unit, unit.n_rows - 1).context - first, splits().size(split));
    const std::uint32_t n = (seen + tokens - 1) / tokens;
    for (std::uint32_t i = begin / tokens; i < n; ++i) {
      blocks[i] = arena.head(sequence.block_table[first_block + i], shape.layer, unit.kv_head);
    }
    return n;
  }

  void gather(const Rows& task, std::uint32_t split, const Gathered& result, std::size_t index) const {
    const std::uint32_t first = splits().begin(split);
    const std::uint32_t end = splits().end(split);
    const QueryRows rows = rows_for(task, split);
    std::uint32_t seen[kMaxRows];
    for (std::size_t r = 0; r < rows.n_rows; ++r) seen[r] = std::clamp(task.contexts[r], first, end) - first;
    const Bf16* blocks[kSplitTokens / 2];
    if (shape.window == 0) {
      find_blocks(task.unit, split, 0, blocks);
      const Bf16* next_blocks[kSplitTokens / 2];
      const std::size_t n_next = find_next(index, split, next_blocks);
      return kernel.gather(rows, {blocks, seen, nullptr, next_blocks, n_next}, result);
    }
    std::uint32_t from[kMaxRows] = {};
    for (std::size_t r = 0; r < rows.n_rows; ++r) {
      from[r] = std::clamp(first_token(task.contexts[r]), first, end) - first;
    }
    find_blocks(task.unit, split, from[0], blocks);
    kernel.gather(rows, {blocks, seen, from}, result);
    for (std::size_t r = 0; r < rows.n_rows; ++r) {
      if (from[r] >= seen[r]) set_nothing(result, r);
    }
  }

  /// What is joined with it stays as it is, bit for bit.
  void set_nothing(const Gathered& result, std::size_t row) const {
    result.most[row] = std::numeric_limits<float>::lowest();
    result.total[row] = 0;
    std::fill_n(result.sums + row * shape.head_dim, shape.head_dim, 0.0F);
  }

  /// What the thread will probably read after a split of task `index`, where there is no window. Nothing where many
  /// rows share what they read: it is in a cache already, or soon will be.
  std::size_t find_next(std::size_t index, std::uint32_t split, const Bf16** blocks) const {
    const AttentionTask* task = &plan().tasks()[index];
    if (++split == task->end_split) {
      if (index + 1 == plan().tasks().size()) return 0;
      split = (++task)->first_split;
    }
    const AttentionUnit& unit = attention.plan_.units()[task->unit];
    return unit.n_rows > kPairedRows / 2 ? 0 : find_blocks(unit, split, 0, blocks);
  }

  /// Adds what a later split gave.
  void add(const Rows& task, const Gathered& all, const Gathered& later, std::uint32_t split) const {
    merge(all, later, first_seeing(task, split), task.unit.n_rows, shape.head_dim);
  }

  /// What the rows have gathered in the phases before.
  void resume(const Rows& task, const Gathered& all) const {
    for (std::uint32_t r = 0; r < task.unit.n_rows; ++r) {
      const float* from = kept(plan().query(task.unit, r));
      all.most[r] = from[0];
      all.total[r] = from[1];
      std::copy_n(from + 2, shape.head_dim, all.sums + r * shape.head_dim);
    }
  }

  /// Keeps it for the phases to come, or makes results of it.
  void finish(const Rows& task, const Gathered& all) const {
    const std::size_t dim = shape.head_dim;
    for (std::uint32_t r = 0; r < task.unit.n_rows; ++r) {
      const AttentionPlan::Query at = plan().query(task.unit, r);
      if (task.unit.ends) {
        const float* scales = arena.value_scales(shape.layer);
        const float stored_times = scales == nullptr ? 1.0F : scales[task.unit.kv_head];
        scale(all.sums + r * dim, 1.0F / (all.total[r] * stored_times), dim, result(at));
        if (arena.geometry().format.rotate_values) rotate(result(at), dim);
      } else {
        float* to = kept(at);
        to[0] = all.most[r];
        to[1] = all.total[r];
        std::copy_n(all.sums + r * dim, dim, to + 2);
      }
    }
  }

  void compute_whole(AttentionUnit& unit, std::size_t index) const {
    Rows task{unit, {}, {}, {}, nullptr};
    prepare(task, index);
    const Gathered all = gathered_at(task.memory);
    const Gathered more = gathered_at(task.memory + gathered_size(unit.n_rows, shape.head_dim));
    kernel.begin(task.rows);
    std::uint32_t split = unit.first_split;
    if (unit.begins) {
      gather(task, split++, all, index);
    } else {
      resume(task, all);
    }
    for (; split < unit.end_split; ++split) {
      gather(task, split, more, index);
      add(task, all, more, split);
    }
    kernel.end();
    finish(task, all);
  }

  /// Some splits of a unit that is cut; whoever does the last of them joins all.
  void compute_part(AttentionUnit& unit, std::size_t index) const {
    const auto& [unit_index, first_split, end_split] = plan().tasks()[index];
    Rows task{unit, {}, {}, {}, nullptr};
    prepare(task, index);
    const std::size_t size = gathered_size(unit.n_rows, shape.head_dim);
    float* memory = attention.gathered_.data() + unit.gathered;
    const auto of_split = [&](std::uint32_t split) { return gathered_at(memory + (split - unit.first_split) * size); };
    kernel.begin(task.rows);
    for (std::uint32_t split = first_split; split < end_split; ++split) gather(task, split, of_split(split), index);
    kernel.end();
    if (std::atomic_ref(unit.left).fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    std::uint32_t split = unit.first_split;
    const Gathered all = unit.begins ? of_split(split++) : gathered_at(task.memory);
    if (!unit.begins) resume(task, all);
    for (; split < unit.end_split; ++split) add(task, all, of_split(split), split);
    finish(task, all);
  }

  void compute(std::size_t index) const {
    const AttentionTask& task = plan().tasks()[index];
    AttentionUnit& unit = attention.plan_.units()[task.unit];
    const bool whole = task.first_split == unit.first_split && task.end_split == unit.end_split;
    whole ? compute_whole(unit, index) : compute_part(unit, index);
  }
};

void Attention::run(const KvArena& arena, const AttentionShape& shape, std::span<const SequenceRows> sequences,
                    const float* qkv, float* out, ThreadPool& pool) {
  const std::uint32_t block_tokens = arena.geometry().block_tokens;
  const bool fits = tiles_take(shape.head_dim, block_tokens, arena.geometry().format);
  const bool generic = shape.window > 0 || shape.cap > 0 || !fits;
  const AttentionKernel& kernel = generic ? generic_kernel_ : kernel_;
  plan_.make(shape, arena.geometry().grid(), sequences, pool.size(), kernel.max_rows);
  if (gathered_.size() < plan_.gathered()) gathered_.resize(plan_.gathered());
  const std::size_t kept = plan_.phase_ends().size() > 1 ? plan_.kept() * (2 + shape.head_dim) : 0;
  if (kept_.size() < kept) kept_.resize(kept);
  const Call call{*this, kernel, arena, shape, qkv, out};
  std::size_t first = 0;
  for (std::size_t end : plan_.phase_ends()) {
    pool.run(end - first, [&](std::size_t i) { call.compute(first + i); });
    first = end;
  }
}

namespace reference {
namespace {

double widen(Bf16 bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }

/// key(t, i) and value(t, i): a token's numbers.
template <class Key, class Value>
void attend(const float* query, std::size_t head_dim, std::size_t from, std::size_t seen, float cap, const Key& key,
            const Value& value, float* out) {
  std::vector<double> weights(seen - from);
  for (std::size_t t = from; t < seen; ++t) {
    for (std::size_t i = 0; i < head_dim; ++i) weights[t - from] += double{query[i]} * key(t, i);
    if (cap > 0) weights[t - from] = cap * std::tanh(weights[t - from] / cap);
  }
  const double most = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp2(weight - most);
  for (std::size_t i = 0; i < head_dim; ++i) {
    double sum = 0;
    for (std::size_t t = from; t < seen; ++t) sum += weights[t - from] * value(t, i);
    out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

void attend(const float* query, const Bf16* const* blocks, std::size_t head_dim, std::size_t block_tokens,
            std::size_t from, std::size_t seen, float cap, float* out) {
  const auto key = [&](std::size_t t, std::size_t i) {
    return widen(blocks[t / block_tokens][key_place(block_tokens, t % block_tokens, i)]);
  };
  const auto value = [&](std::size_t t, std::size_t i) {
    return widen(blocks[t / block_tokens][value_place(head_dim, block_tokens, t % block_tokens, i)]);
  };
  attend(query, head_dim, from, seen, cap, key, value, out);
}

void attend_codes(const float* query, const std::byte* const* blocks, const CodeTarget& codes, const BlockGrid& grid,
                  std::size_t from, std::size_t seen, float cap, float* out) {
  const auto place = [&](std::size_t t) {
    const auto position = static_cast<std::uint32_t>(t);
    CodeTarget at = codes;
    at.block_tokens = grid.size(grid.block_of(position));
    at.slot = grid.slot(position);
    if (at.block_tokens < grid.tokens) at.key_bits = at.value_bits = 8;
    return at;
  };
  const auto block = [&](std::size_t t) { return blocks[grid.block_of(static_cast<std::uint32_t>(t))]; };
  const auto key = [&](std::size_t t, std::size_t i) { return stored_key(place(t), block(t), i); };
  const auto value = [&](std::size_t t, std::size_t i) { return stored_value(place(t), block(t), i); };
  attend(query, codes.head_dim, from, seen, cap, key, value, out);
}

}  // namespace reference
}  // namespace headwater::kernels::cpu
