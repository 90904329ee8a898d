// kernels::Backend on the CPU. The threads of a pool share the rows of every operation; oneDNN
// has its own (OpenMP).

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kv_arena.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/quantized_matrix.h"
#include "kernels/cpu/thread_pool.h"

namespace headwater::kernels {
namespace {

using cpu::Half;

class CpuBuffer : public Buffer {
 public:
  explicit CpuBuffer(std::size_t size) : Buffer(size), values_(size) {}
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }

 private:
  std::vector<float> values_;
};

float* data(Buffer& buffer) { return static_cast<CpuBuffer&>(buffer).data(); }
const float* data(const Buffer& buffer) { return static_cast<const CpuBuffer&>(buffer).data(); }

/// Rows to look up, in the format of the file.
class Table : public Matrix {
 public:
  explicit Table(const HostTensor& table)
      : Matrix(static_cast<std::uint32_t>(table.rows), static_cast<std::uint32_t>(table.cols)), table_(table) {}
  const HostTensor& tensor() const { return table_; }

 private:
  HostTensor table_;
};

class CpuBackend : public Backend {
 public:
  CpuBackend(std::uint32_t threads, Precision precision)
      : precision_(precision),
        threads_(static_cast<int>(threads > 0 ? threads : std::max(1U, std::thread::hardware_concurrency()))),
        products_(threads_),
        pool_(static_cast<unsigned>(threads_)) {}

  std::unique_ptr<Matrix> load_matrix(std::span<const HostTensor> parts) override {
    if (precision_ == Precision::exact || !cpu::QuantizedMatrix::takes(parts)) return products_.pack(parts);
    return std::make_unique<cpu::QuantizedMatrix>(parts, weight_memory_, pool_);
  }
  std::unique_ptr<Matrix> load_table(const HostTensor& table) override { return std::make_unique<Table>(table); }
  std::unique_ptr<Buffer> load_vector(const HostTensor& vector) override {
    auto buffer = std::make_unique<CpuBuffer>(vector.cols);
    dequantize_row(vector, 0, {buffer->data(), buffer->size()});
    return buffer;
  }
  std::unique_ptr<Buffer> allocate(std::size_t size) override { return std::make_unique<CpuBuffer>(size); }

  std::uint32_t padded_rows(std::uint32_t rows) const override { return cpu::padded_rows(rows); }

  std::uint64_t kv_block_bytes(const KvShape& shape) const override { return cpu::KvArena::block_bytes(shape); }
  void allocate_kv(const KvShape& shape, std::uint32_t n_blocks) override {
    arena_ = cpu::KvArena();  // the old one first: both may not fit
    arena_ = cpu::KvArena(shape, n_blocks);
  }
  void set_rope(std::span<const float> inverse_frequencies) override {
    frequencies_.assign(inverse_frequencies.begin(), inverse_frequencies.end());
    cosines_.clear();
    sines_.clear();
  }

  void embed(const Matrix& table, std::span<const std::int32_t> tokens, Buffer& out) override {
    const HostTensor& tensor = static_cast<const Table&>(table).tensor();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      dequantize_row(tensor, static_cast<std::uint64_t>(tokens[i]), {data(out) + i * tensor.cols, tensor.cols});
    }
  }

  void rms_norm(const Buffer& x, const Buffer& weight, float epsilon, std::uint32_t rows, Buffer& out) override {
    const std::size_t dim = weight.size();
    for_rows(rows,
             [&](std::size_t r) { cpu::rms_norm(data(x) + r * dim, data(weight), epsilon, dim, data(out) + r * dim); });
  }

  void add_rms_norm(Buffer& x, const Buffer& delta, const Buffer& weight, float epsilon, std::uint32_t rows,
                    Buffer& out) override {
    const std::size_t dim = weight.size();
    for_rows(rows, [&](std::size_t r) {
      cpu::add(data(x) + r * dim, data(delta) + r * dim, dim);
      cpu::rms_norm(data(x) + r * dim, data(weight), epsilon, dim, data(out) + r * dim);
    });
  }

  void linear(const Matrix& weight, const Buffer& x, std::uint32_t rows, Buffer& out) override {
    if (const auto* quantized = dynamic_cast<const cpu::QuantizedMatrix*>(&weight)) {
      quantized->multiply(data(x), rows, data(out), quantized_rows_, pool_);
      return;
    }
    const auto& matrix = static_cast<const cpu::PackedMatrix&>(weight);
    const std::size_t inner = matrix.cols();
    const std::uint32_t padded = cpu::padded_rows(rows);
    if (x.size() < std::size_t{padded} * inner || out.size() < std::size_t{padded} * matrix.rows()) {
      throw std::logic_error("a buffer has no room for the padded rows of a product");
    }
    omp_set_num_threads(threads_);  // a property of the calling thread, which may be another one than before
    if (!cpu::has_bf16_products()) {
      matrix.multiply(data(x), rows, data(out));
      return;
    }
    if (rounded_.size() < padded * inner) rounded_.resize(padded * inner);
    for_rows(rows, [&](std::size_t r) { cpu::to_bf16(data(x) + r * inner, inner, rounded_.data() + r * inner); });
    matrix.multiply(rounded_.data(), rows, data(out));
  }

  void gated_linear(const Matrix& weight, const Buffer& x, std::uint32_t rows, Buffer& out) override {
    if (const auto* quantized = dynamic_cast<const cpu::QuantizedMatrix*>(&weight)) {
      quantized->multiply_gated(data(x), rows, data(out), quantized_rows_, pool_);
      return;
    }
    const std::size_t dim = weight.rows() / 2;
    const std::size_t room = std::size_t{cpu::padded_rows(rows)} * weight.rows();
    if (gate_up_ == nullptr || gate_up_->size() < room) gate_up_ = std::make_unique<CpuBuffer>(room);
    linear(weight, x, rows, *gate_up_);
    for_rows(rows,
             [&](std::size_t r) { cpu::silu_mul(gate_up_->data() + r * 2 * dim, 1, dim, data(out) + r * dim, dim); });
  }

  void rope_and_store(const AttentionShape& shape, std::span<const SequenceRows> sequences, Buffer& qkv) override {
    for (const SequenceRows& sequence : sequences) {
      extend_rope(sequence.first_position + sequence.n_rows);
      for_rows(sequence.n_rows, [&](std::size_t i) { rope_row(shape, sequence, i, data(qkv)); });
    }
  }

  void attention(const AttentionShape& shape, std::span<const SequenceRows> sequences, const Buffer& qkv,
                 Buffer& out) override {
    // A task is some rows of one sequence with the query heads of one KV head.
    const std::uint32_t group = shape.n_heads / shape.n_kv_heads;
    const std::uint32_t tile = std::max<std::uint32_t>(1, cpu::kMaxQueries / group);
    tasks_.clear();
    for (std::uint32_t s = 0; s < sequences.size(); ++s) {
      for (std::uint32_t row = 0; row < sequences[s].n_rows; row += tile) {
        for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) tasks_.push_back({s, row, head});
      }
    }
    pool_.run(tasks_.size(), [&](std::size_t i) {
      const Task& task = tasks_[i];
      attend(shape, sequences[task.sequence], task.row, tile, task.kv_head, data(qkv), data(out));
    });
  }

  void gather(const Buffer& x, std::span<const std::uint32_t> rows, std::uint32_t dim, Buffer& out) override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(data(out) + i * dim, data(x) + std::size_t{rows[i]} * dim, dim * sizeof(float));
    }
  }

  void read(const Buffer& x, std::span<float> out) override { std::memcpy(out.data(), data(x), out.size_bytes()); }

 private:
  struct Task {
    std::uint32_t sequence, row, kv_head;
  };

  /// Rows in tasks that are worth handing out; a few are quicker done than shared.
  template <class Work>
  void for_rows(std::size_t rows, const Work& work) {
    constexpr std::size_t kTaskRows = 4;
    pool_.run((rows + kTaskRows - 1) / kTaskRows, [&](std::size_t task) {
      const std::size_t end = std::min(rows, (task + 1) * kTaskRows);
      for (std::size_t r = task * kTaskRows; r < end; ++r) work(r);
    });
  }

  /// Angles for positions below `positions`.
  void extend_rope(std::size_t positions) {
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

  void rope_row(const AttentionShape& shape, const SequenceRows& sequence, std::size_t i, float* qkv) const {
    const std::size_t dim = shape.head_dim;
    const std::size_t pairs = shape.rope_dim / 2;
    float* row = qkv + (sequence.first_row + i) * (shape.n_heads + 2 * shape.n_kv_heads) * dim;
    const std::size_t position = sequence.first_position + i;
    const float* cosines = cosines_.data() + position * pairs;
    const float* sines = sines_.data() + position * pairs;
    const float scale = 1.0F / std::sqrt(static_cast<float>(dim));
    for (std::uint32_t head = 0; head < shape.n_heads; ++head) {
      float* query = row + head * dim;
      cpu::rope(query, cosines, sines, pairs, scale);
      for (std::size_t k = 2 * pairs; k < dim; ++k) query[k] *= scale;
    }
    const std::int32_t block = sequence.block_table[position / arena_.block_tokens()];
    const auto slot = static_cast<std::uint32_t>(position % arena_.block_tokens());
    thread_local std::vector<Half> rounded;
    rounded.resize(2 * dim);
    for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
      float* key = row + (shape.n_heads + head) * dim;
      const float* value = row + (shape.n_heads + shape.n_kv_heads + head) * dim;
      cpu::rope(key, cosines, sines, pairs, 1.0F);
      cpu::to_half(key, dim, rounded.data());
      cpu::to_half(value, dim, rounded.data() + dim);
      arena_.write(arena_.head(block, shape.layer, head), slot, rounded.data(), rounded.data() + dim);
    }
  }

  void attend(const AttentionShape& shape, const SequenceRows& sequence, std::uint32_t first, std::uint32_t tile,
              std::uint32_t kv_head, const float* qkv, float* out) const {
    const std::size_t dim = shape.head_dim;
    const std::uint32_t group = shape.n_heads / shape.n_kv_heads;
    const std::uint32_t last = std::min(first + tile, sequence.n_rows);
    const std::size_t context = sequence.first_position + last;
    const std::uint32_t tokens = arena_.block_tokens();
    thread_local std::vector<const Half*> blocks;
    thread_local std::vector<float> scratch;
    blocks.clear();
    for (std::size_t i = 0; i * tokens < context; ++i) {
      blocks.push_back(arena_.head(sequence.block_table[i], shape.layer, kv_head));
    }
    scratch.resize(cpu::kMaxQueries * tokens);

    const float* queries[cpu::kMaxQueries];
    float* outputs[cpu::kMaxQueries];
    std::uint32_t contexts[cpu::kMaxQueries];
    cpu::AttendTask task{dim, tokens, 0, queries, outputs, contexts, blocks.data(), scratch.data()};
    const auto flush = [&] {
      if (task.n_queries > 0) cpu::attend(task);
      task.n_queries = 0;
    };
    for (std::uint32_t i = first; i < last; ++i) {
      const std::size_t row = sequence.first_row + i;
      for (std::uint32_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        queries[task.n_queries] = qkv + (row * (shape.n_heads + 2 * shape.n_kv_heads) + head) * dim;
        outputs[task.n_queries] = out + (row * shape.n_heads + head) * dim;
        contexts[task.n_queries] = sequence.first_position + i + 1;
        if (++task.n_queries == cpu::kMaxQueries) flush();
      }
    }
    flush();
  }

  const Precision precision_;
  const int threads_;
  cpu::WeightMemory weight_memory_;
  cpu::Activations quantized_rows_;
  cpu::Products products_;
  cpu::ThreadPool pool_;
  cpu::KvArena arena_;
  std::vector<float> frequencies_, cosines_, sines_;
  std::vector<std::uint16_t> rounded_;
  std::unique_ptr<CpuBuffer> gate_up_;  ///< of a gated product that is not quantised
  std::vector<Task> tasks_;
};

}  // namespace

std::shared_ptr<Backend> make_cpu_backend(std::uint32_t threads, Precision precision) {
  return std::make_shared<CpuBackend>(threads, precision);
}

}  // namespace headwater::kernels
