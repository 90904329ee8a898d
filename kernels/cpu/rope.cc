#include "kernels/cpu/rope.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu {

void Rotary::set(std::span<const float> inverse_frequencies) {
  frequencies_.assign(inverse_frequencies.begin(), inverse_frequencies.end());
  cosines_.clear();
  sines_.clear();
}

void Rotary::extend(std::size_t positions) {
  const std::size_t pairs = frequencies_.size();
  if (pairs == 0 || cosines_.size() >= positions * pairs) return;
  const std::size_t known = cosines_.size() / pairs;
  const std::size_t wanted = std::max(positions, 2 * known);
  cosines_.resize(wanted * pairs);
  sines_.resize(wanted * pairs);
  for (std::size_t p = known; p < wanted; ++p) {
    for (std::size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) * frequencies_[i];
      cosines_[p * pairs + i] = static_cast<float>(std::cos(angle));
      sines_[p * pairs + i] = static_cast<float>(std::sin(angle));
    }
  }
}

std::size_t Rotary::plan(std::span<const SequenceRows> sequences) {
  constexpr std::uint32_t kChunkRows = 16;
  chunks_.clear();
  std::size_t rows = 0;
  for (std::uint32_t s = 0; s < sequences.size(); ++s) {
    const SequenceRows& sequence = sequences[s];
    extend(std::size_t{sequence.first_position} + sequence.n_rows);
    rows += sequence.n_rows;
    for (std::uint32_t row = 0; row < sequence.n_rows;) {
      const std::uint32_t odd = (sequence.first_position + row) % 2;
      const std::uint32_t n_rows = std::min(kChunkRows - odd, sequence.n_rows - row);
      chunks_.push_back({s, row, n_rows});
      row += n_rows;
    }
  }
  return rows;
}

void Rotary::rotate_and_store(const KvArena& arena, const AttentionShape& shape,
                              std::span<const SequenceRows> sequences, float* qkv, ThreadPool& pool) {
  constexpr std::size_t kTaskRows = 4;  // fewer are quicker done than shared
  const std::size_t rows = plan(sequences);
  const std::size_t pairs = shape.rope_dim / 2;
  const std::size_t block_tokens = arena.shape().block_tokens;
  const auto rotate = [&](const Chunk& chunk) {
    const SequenceRows& sequence = sequences[chunk.sequence];
    for (std::size_t row = chunk.row; row < chunk.row + chunk.n_rows; ++row) {
      const std::size_t position = sequence.first_position + row;
      RopeTask task{shape.n_heads, shape.n_kv_heads, shape.head_dim, pairs};
      task.cosines = cosines_.data() + position * pairs;
      task.sines = sines_.data() + position * pairs;
      task.query_scale = query_scale(shape.head_dim);
      task.row = qkv + (sequence.first_row + row) * (shape.n_heads + 2 * shape.n_kv_heads) * shape.head_dim;
      task.block = arena.head(sequence.block_table[position / block_tokens], shape.layer, 0);
      task.block_tokens = block_tokens;
      task.slot = position % block_tokens;
      rope_and_store(task);
    }
  };
  const std::size_t n_tasks = std::min(chunks_.size(), (rows + kTaskRows - 1) / kTaskRows);
  pool.run(n_tasks, [&](std::size_t i) {
    const std::size_t end = chunks_.size() * (i + 1) / n_tasks;
    for (std::size_t c = chunks_.size() * i / n_tasks; c < end; ++c) rotate(chunks_[c]);
  });
}

namespace reference {

void rope_and_store(const RopeTask& task) {
  const std::size_t dim = task.head_dim;
  const auto turn = [&](float* x) {
    for (std::size_t i = 0; i < task.pairs; ++i) {
      const float even = x[2 * i];
      const float odd = x[2 * i + 1];
      x[2 * i] = even * task.cosines[i] - odd * task.sines[i];
      x[2 * i + 1] = even * task.sines[i] + odd * task.cosines[i];
    }
  };
  for (std::size_t head = 0; head < task.n_heads; ++head) {
    float* query = task.row + head * dim;
    turn(query);
    for (std::size_t i = 0; i < dim; ++i) query[i] *= task.query_scale;
  }
  for (std::size_t head = 0; head < task.n_kv_heads; ++head) {
    const float* given = task.row + (task.n_heads + head) * dim;
    std::vector<float> key(given, given + dim);
    turn(key.data());
    const float* value = given + task.n_kv_heads * dim;
    Bf16* block = task.block + head * 2 * dim * task.block_tokens;
    for (std::size_t i = 0; i < dim; ++i) {
      to_bf16(&key[i], 1, block + key_place(task.block_tokens, task.slot, i));
      to_bf16(&value[i], 1, block + value_place(dim, task.block_tokens, task.slot, i));
    }
  }
}

}  // namespace reference
}  // namespace headwater::kernels::cpu
