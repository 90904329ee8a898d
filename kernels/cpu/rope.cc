#include "kernels/cpu/rope.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/ops.h"

namespace headwater::kernels::cpu {

void Rotary::set(std::uint32_t rope, std::span<const float> inverse_frequencies, float magnitude) {
  Table& table = tables_.at(rope);
  table = {};
  table.magnitude = magnitude;
  table.frequencies.assign(inverse_frequencies.begin(), inverse_frequencies.end());
}

void Rotary::Table::extend(std::size_t positions) {
  const std::size_t pairs = frequencies.size();
  if (pairs == 0 || cosines.size() >= positions * pairs) return;
  const std::size_t known = cosines.size() / pairs;
  const std::size_t wanted = std::max(positions, 2 * known);
  cosines.resize(wanted * pairs);
  sines.resize(wanted * pairs);
  for (std::size_t p = known; p < wanted; ++p) {
    for (std::size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) * frequencies[i];
      cosines[p * pairs + i] = static_cast<float>(std::cos(angle) * magnitude);
      sines[p * pairs + i] = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

std::size_t Rotary::plan(std::span<const SequenceRows> sequences, const BlockGrid& grid, Table& table) {
  constexpr std::uint32_t kChunkRows = 2 * kSharedSlots;
  static_assert(kChunkRows <= kMappedTokens);
  chunks_.clear();
  std::size_t rows = 0;
  for (std::uint32_t s = 0; s < sequences.size(); ++s) {
    const SequenceRows& sequence = sequences[s];
    table.extend(std::size_t{sequence.first_position} + sequence.n_rows);
    rows += sequence.n_rows;
    for (std::uint32_t row = 0; row < sequence.n_rows;) {
      const std::uint32_t past = grid.slot(sequence.first_position + row) % kSharedSlots;
      const std::uint32_t n_rows = std::min(kChunkRows - past, sequence.n_rows - row);
      chunks_.push_back({s, row, n_rows});
      row += n_rows;
    }
  }
  return rows;
}

void Rotary::rotate_and_store(const KvArena& arena, const AttentionShape& shape,
                              std::span<const SequenceRows> sequences, float* qkv, ThreadPool& pool) {
  constexpr std::size_t kTaskRows = 4;  // fewer are quicker done than shared
  Table& table = tables_.at(shape.rope);
  const BlockGrid grid = arena.geometry().grid();
  const std::size_t rows = plan(sequences, grid, table);
  const std::size_t pairs = shape.rope_dim / 2;
  const auto task_of = [&](const SequenceRows& sequence, std::uint32_t row) {
    const std::uint32_t position = sequence.first_position + row;
    const std::uint32_t block = grid.block_of(position);
    RopeTask task{shape.n_heads, shape.n_kv_heads, shape.head_dim, pairs};
    task.cosines = table.cosines.data() + position * pairs;
    task.sines = table.sines.data() + position * pairs;
    task.query_scale = query_scale(shape);
    task.row = qkv + std::size_t{sequence.first_row + row} * (shape.n_heads + 2 * shape.n_kv_heads) * shape.head_dim;
    task.block = arena.head_bytes(sequence.block_table[block], shape.layer, 0);
    task.head_bytes = arena.head_size(shape.layer);
    task.block_tokens = grid.size(block);
    task.slot = grid.slot(position);
    task.format = arena.geometry().format;
    if (block == 0 && grid.missing > 0) task.format.key_bits = task.format.value_bits = 8;
    task.centres = arena.centre(shape.layer, 0);
    task.key_maps = arena.key_maps(shape.layer);
    task.query_maps = arena.query_maps(shape.layer);
    task.value_scales = arena.value_scales(shape.layer);
    return task;
  };
  const std::size_t n_tasks = std::min(chunks_.size(), (rows + kTaskRows - 1) / kTaskRows);
  pool.run(n_tasks, [&](std::size_t i) {
    RopeTask tokens[kMappedTokens];
    std::size_t n = 0;
    const std::size_t end = chunks_.size() * (i + 1) / n_tasks;
    for (std::size_t c = chunks_.size() * i / n_tasks; c < end; ++c) {
      const Chunk& chunk = chunks_[c];
      for (std::uint32_t row = chunk.row; row < chunk.row + chunk.n_rows; ++row) {
        tokens[n++] = task_of(sequences[chunk.sequence], row);
        if (n < kMappedTokens) continue;
        rope_and_store({tokens, n});
        n = 0;
      }
    }
    if (n > 0) rope_and_store({tokens, n});
  });
}

namespace reference {

void map_rows(const float* map, float* const* rows, std::size_t n, std::size_t dim) {
  for (std::size_t r = 0; r < n; ++r) {
    std::vector<float> mapped(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      for (std::size_t o = 0; o < dim; ++o) mapped[o] += rows[r][i] * map[i * dim + o];
    }
    std::copy(mapped.begin(), mapped.end(), rows[r]);
  }
}

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
  const std::size_t group = task.n_heads / task.n_kv_heads;
  for (std::size_t head = 0; head < task.n_heads; ++head) {
    float* query = task.row + head * dim;
    turn(query);
    for (std::size_t i = 0; i < dim; ++i) query[i] *= task.query_scale;
    if (task.query_maps != nullptr) map_rows(task.query_maps + head / group * dim * dim, &query, 1, dim);
  }
  for (std::size_t head = 0; head < task.n_kv_heads; ++head) {
    const float* given = task.row + (task.n_heads + head) * dim;
    std::vector<float> key(given, given + dim);
    turn(key.data());
    for (std::size_t i = 0; i < dim && task.centres != nullptr; ++i) key[i] -= task.centres[head * dim + i];
    float* mapped = key.data();
    if (task.key_maps != nullptr) map_rows(task.key_maps + head * dim * dim, &mapped, 1, dim);
    const float* value = given + task.n_kv_heads * dim;
    std::byte* block = task.block + head * task.head_bytes;
    if (task.format.quantised()) {
      const CodeTarget target{dim, task.block_tokens, task.slot, task.format.key_bits, task.format.value_bits};
      reference::store_key_codes(target, key.data(), block);
      std::vector<float> rotated(value, value + dim);
      if (task.format.rotate_values) rotate(rotated.data(), dim);
      for (std::size_t i = 0; i < dim && task.value_scales != nullptr; ++i) rotated[i] *= task.value_scales[head];
      reference::store_value_codes(target, rotated.data(), block);
      continue;
    }
    auto* numbers = reinterpret_cast<Bf16*>(block);
    for (std::size_t i = 0; i < dim; ++i) {
      to_bf16(&key[i], 1, numbers + key_place(task.block_tokens, task.slot, i));
      to_bf16(&value[i], 1, numbers + value_place(dim, task.block_tokens, task.slot, i));
    }
  }
}

}  // namespace reference
}  // namespace headwater::kernels::cpu
