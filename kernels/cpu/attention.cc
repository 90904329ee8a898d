#include "kernels/cpu/attention.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/thread_scratch.h"

namespace headwater::kernels::cpu {
namespace {

/// How many tasks a thread should find, so that one that is held up does not hold up all.
constexpr std::size_t kTasksPerThread = 8;

/// Floats that Gathered takes, in whole cache lines.
std::size_t gathered_size(std::size_t n_rows, std::size_t head_dim) {
  return (stored_rows(n_rows) * head_dim + 2 * kMaxRows + 15) / 16 * 16;
}
Gathered gathered_at(float* memory) { return {memory, memory + kMaxRows, memory + 2 * kMaxRows}; }

const AttentionKernel& kernel_of(AttentionPath path, const KvFormat& format) {
  if (path == AttentionPath::amx) return format.quantised() ? kAmxQuantizedAttention : kAmxAttention;
  return format.quantised() ? kGenericQuantizedAttention : kGenericAttention;
}

}  // namespace

AttentionPath best_attention_path(const KvShape& shape) {
  // Of longer heads the sums of whole numbers could overflow.
  const bool fits =
      shape.head_dim % 16 == 0 && shape.block_tokens % 32 == 0 && (!shape.format.quantised() || shape.head_dim <= 256);
  return fits && cpu_features().amx ? AttentionPath::amx : AttentionPath::generic;
}

Attention::Attention(AttentionPath path, const KvFormat& format) : kernel_(kernel_of(path, format)) {
  if (path == AttentionPath::amx && !cpu_features().amx) throw std::logic_error("this machine has no AMX");
}

float query_scale(std::uint32_t head_dim) {
  return std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(head_dim));
}

/// What the tasks of one run() share.
struct Attention::Call {
  Attention& attention;
  const KvArena& arena;
  const AttentionShape& shape;
  std::span<const SequenceRows> sequences;
  const float* qkv;
  float* out;
  std::uint32_t group = shape.n_heads / shape.n_kv_heads;

  /// A task's own: its rows, and where each ends to see.
  struct Rows {
    Unit& unit;
    QueryRows rows;
    const float* queries[kMaxRows];
    std::uint32_t contexts[kMaxRows];
    float* memory;  ///< for two of Gathered
  };

  /// Where the query of a unit's row lies, and where its result goes.
  struct Place {
    std::size_t row, head;
  };
  Place place(const Unit& unit, std::uint32_t r) const {
    const std::uint32_t index = unit.first_row + r;
    return {sequences[unit.sequence].first_row + index / group, unit.kv_head * group + index % group};
  }
  const float* query(const Place& at) const {
    return qkv + (at.row * (shape.n_heads + 2 * shape.n_kv_heads) + at.head) * shape.head_dim;
  }
  float* result(const Place& at) const { return out + (at.row * shape.n_heads + at.head) * shape.head_dim; }

  void prepare(Rows& task, std::size_t index) const {
    const Unit& unit = task.unit;
    const SequenceRows& sequence = sequences[unit.sequence];
    const std::size_t dim = shape.head_dim;
    for (std::uint32_t r = 0; r < unit.n_rows; ++r) {
      const Place at = place(unit, r);
      task.queries[r] = query(at);
      task.contexts[r] = static_cast<std::uint32_t>(sequence.first_position + at.row - sequence.first_row + 1);
      ask_for<1>(result(at));
    }
    if (index + 1 < attention.tasks_.size()) {
      const Unit& next = attention.units_[attention.tasks_[index + 1].unit];
      for (std::uint32_t r = 0; r < next.n_rows; ++r) ask_for<0>(query(place(next, r)));
    }
    const std::size_t kernel_bytes = (attention.kernel_.scratch_bytes(dim) + 63) / 64 * 64;
    std::byte* scratch = thread_scratch(kernel_bytes + 2 * gathered_size(unit.n_rows, dim) * sizeof(float));
    const KvFormat& format = arena.shape().format;
    task.rows = {
        dim, arena.shape().block_tokens, unit.n_rows, task.queries, scratch, format.key_bits, format.value_bits};
    task.memory = reinterpret_cast<float*>(scratch + kernel_bytes);
  }

  /// Asks for the lines of a head's vector, to be read (0) or written (1) a few microseconds later.
  template <int kWrite>
  void ask_for(const float* vector) const {
    constexpr std::size_t kLine = 16;
    for (std::size_t i = 0; i < shape.head_dim; i += kLine) __builtin_prefetch(vector + i, kWrite, 2);
  }

  /// The first row that sees something of a split.
  static std::size_t first_seeing(const Rows& task, std::size_t split) {
    std::size_t row = 0;
    while (task.contexts[row] <= split * kSplitTokens) ++row;
    return row;
  }

  /// The blocks of a split, and how many of its tokens some row of the unit sees.
  std::size_t find_blocks(const Unit& unit, std::size_t split, const Bf16** blocks) const {
    const SequenceRows& sequence = sequences[unit.sequence];
    const std::size_t block_tokens = arena.shape().block_tokens;
    const std::size_t first = split * kSplitTokens;
    const std::size_t context = sequence.first_position + (unit.first_row + unit.n_rows - 1) / group + 1;
    const std::size_t n = std::min(context - first, kSplitTokens);
    for (std::size_t i = 0; i * block_tokens < n; ++i) {
      blocks[i] = arena.head(sequence.block_table[first / block_tokens + i], shape.layer, unit.kv_head);
    }
    return n;
  }

  void gather(const Rows& task, std::size_t split, const Gathered& result, std::size_t index) const {
    const std::size_t first = split * kSplitTokens;
    std::uint32_t seen[kMaxRows];
    for (std::size_t r = 0; r < task.rows.n_rows; ++r) {
      seen[r] =
          static_cast<std::uint32_t>(std::clamp<std::size_t>(task.contexts[r], first, first + kSplitTokens) - first);
    }
    const Bf16* blocks[kSplitTokens / 2];
    find_blocks(task.unit, split, blocks);
    const Bf16* next_blocks[kSplitTokens / 2];
    const std::size_t next_tokens = find_next(index, split, next_blocks);
    attention.kernel_.gather(task.rows, {blocks, seen, next_blocks, next_tokens}, result);
  }

  /// What the thread will probably read after a split of task `index`. Nothing where many rows share what they read: it
  /// is in a cache already, or soon will be.
  std::size_t find_next(std::size_t index, std::size_t split, const Bf16** blocks) const {
    const Task* task = &attention.tasks_[index];
    if (++split == task->end_split) {
      if (index + 1 == attention.tasks_.size()) return 0;
      split = (++task)->first_split;
    }
    const Unit& unit = attention.units_[task->unit];
    return unit.n_rows > kMaxRows / 2 ? 0 : find_blocks(unit, split, blocks);
  }

  void write(const Rows& task, const Gathered& all) const {
    const std::size_t dim = shape.head_dim;
    for (std::uint32_t r = 0; r < task.unit.n_rows; ++r) {
      float* to = result(place(task.unit, r));
      scale(all.sums + r * dim, 1.0F / all.total[r], dim, to);
      if (arena.shape().format.rotate_values) rotate(to, dim);
    }
  }

  void compute_whole(Unit& unit, std::size_t index) const {
    Rows task{unit, {}, {}, {}, nullptr};
    prepare(task, index);
    const Gathered all = gathered_at(task.memory);
    const Gathered more = gathered_at(task.memory + gathered_size(unit.n_rows, shape.head_dim));
    attention.kernel_.begin(task.rows);
    gather(task, 0, all, index);
    for (std::size_t split = 1; split < unit.n_splits; ++split) {
      gather(task, split, more, index);
      merge(all, more, first_seeing(task, split), unit.n_rows, shape.head_dim);
    }
    attention.kernel_.end();
    write(task, all);
  }

  /// Some splits of a unit that is cut; whoever does the last of them joins all.
  void compute_part(Unit& unit, std::size_t index) const {
    const auto& [unit_index, first_split, end_split] = attention.tasks_[index];
    Rows task{unit, {}, {}, {}, nullptr};
    prepare(task, index);
    const std::size_t size = gathered_size(unit.n_rows, shape.head_dim);
    float* memory = attention.gathered_.data() + unit.gathered;
    attention.kernel_.begin(task.rows);
    for (std::size_t split = first_split; split < end_split; ++split) {
      gather(task, split, gathered_at(memory + split * size), index);
    }
    attention.kernel_.end();
    if (std::atomic_ref(unit.left).fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    const Gathered all = gathered_at(memory);
    for (std::size_t split = 1; split < unit.n_splits; ++split) {
      merge(all, gathered_at(memory + split * size), first_seeing(task, split), unit.n_rows, shape.head_dim);
    }
    write(task, all);
  }

  void compute(std::size_t index) const {
    const Task& task = attention.tasks_[index];
    Unit& unit = attention.units_[task.unit];
    const bool whole = task.first_split == 0 && task.end_split == unit.n_splits;
    whole ? compute_whole(unit, index) : compute_part(unit, index);
  }
};

void Attention::cut(std::uint32_t index, std::uint32_t splits_per_task, std::size_t head_dim) {
  Unit& unit = units_[index];
  unit.gathered = gathered_in_use_;
  gathered_in_use_ += unit.n_splits * gathered_size(unit.n_rows, head_dim);
  for (std::uint32_t split = 0; split < unit.n_splits; split += splits_per_task) {
    tasks_.push_back({index, split, std::min(unit.n_splits, split + splits_per_task)});
    ++unit.left;
  }
}

void Attention::plan(const AttentionShape& shape, std::span<const SequenceRows> sequences, std::size_t threads) {
  units_.clear();
  tasks_.clear();
  gathered_in_use_ = 0;
  const std::uint32_t group = shape.n_heads / shape.n_kv_heads;
  std::size_t visits = 0;
  for (std::uint32_t s = 0; s < sequences.size(); ++s) {
    const std::uint32_t n_rows = sequences[s].n_rows * group;
    for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
      // The last rows see most: they come first, so that no long task is left for the end.
      for (std::uint32_t tile = (n_rows + kMaxRows - 1) / kMaxRows; tile-- > 0;) {
        const std::uint32_t first = tile * kMaxRows;
        const std::uint32_t end = std::min<std::uint32_t>(n_rows, first + kMaxRows);
        const std::size_t context = sequences[s].first_position + (end - 1) / group + 1;
        const auto n_splits = static_cast<std::uint32_t>((context + kSplitTokens - 1) / kSplitTokens);
        units_.push_back({s, head, first, end - first, n_splits});
        visits += n_splits;
      }
    }
  }
  const std::size_t per_task = threads == 1 ? visits : std::max<std::size_t>(1, visits / (threads * kTasksPerThread));
  for (std::uint32_t unit = 0; unit < units_.size(); ++unit) {
    if (units_[unit].n_splits <= per_task) {
      tasks_.push_back({unit, 0, units_[unit].n_splits});
    } else {
      cut(unit, static_cast<std::uint32_t>(per_task), shape.head_dim);
    }
  }
  if (gathered_.size() < gathered_in_use_) gathered_.resize(gathered_in_use_);
}

void Attention::run(const KvArena& arena, const AttentionShape& shape, std::span<const SequenceRows> sequences,
                    const float* qkv, float* out, ThreadPool& pool) {
  plan(shape, sequences, pool.size());
  const Call call{*this, arena, shape, sequences, qkv, out};
  pool.run(tasks_.size(), [&](std::size_t i) { call.compute(i); });
}

namespace reference {
namespace {

double widen(Bf16 bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }

/// key(t, i) and value(t, i): a token's numbers.
template <class Key, class Value>
void attend(const float* query, std::size_t head_dim, std::size_t seen, const Key& key, const Value& value,
            float* out) {
  std::vector<double> weights(seen);
  for (std::size_t t = 0; t < seen; ++t) {
    for (std::size_t i = 0; i < head_dim; ++i) weights[t] += double{query[i]} * key(t, i);
  }
  const double most = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp2(weight - most);
  for (std::size_t i = 0; i < head_dim; ++i) {
    double sum = 0;
    for (std::size_t t = 0; t < seen; ++t) sum += weights[t] * value(t, i);
    out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

void attend(const float* query, const Bf16* const* blocks, std::size_t head_dim, std::size_t block_tokens,
            std::size_t seen, float* out) {
  const auto key = [&](std::size_t t, std::size_t i) {
    return widen(blocks[t / block_tokens][key_place(block_tokens, t % block_tokens, i)]);
  };
  const auto value = [&](std::size_t t, std::size_t i) {
    return widen(blocks[t / block_tokens][value_place(head_dim, block_tokens, t % block_tokens, i)]);
  };
  attend(query, head_dim, seen, key, value, out);
}

void attend_codes(const float* query, const std::byte* const* blocks, const KvShape& shape, std::size_t seen,
                  float* out) {
  CodeTarget at{shape.head_dim, shape.block_tokens, 0, shape.format.key_bits, shape.format.value_bits};
  const auto key = [&](std::size_t t, std::size_t i) {
    at.slot = t % shape.block_tokens;
    return stored_key(at, blocks[t / shape.block_tokens], i);
  };
  const auto value = [&](std::size_t t, std::size_t i) {
    at.slot = t % shape.block_tokens;
    return stored_value(at, blocks[t / shape.block_tokens], i);
  };
  attend(query, shape.head_dim, seen, key, value, out);
}

}  // namespace reference
}  // namespace headwater::kernels::cpu
