// kernels::Backend on the CPU. The threads of a pool share the rows of every operation; oneDNN
// has its own (OpenMP).

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <vector>

#include "kernels/backend.h"
#include "kernels/compute_cpus.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/float_product.h"
#include "kernels/cpu/half_matrix.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/kv_arena.h"
#include "kernels/cpu/lookup_table.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/page_warmer.h"
#include "kernels/cpu/quantized_matrix.h"
#include "kernels/cpu/rope.h"
#include "kernels/cpu/thread_pool.h"

namespace headwater::kernels {
namespace {

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

class CpuBackend : public Backend {
 public:
  CpuBackend(std::uint32_t threads, Precision precision)
      : precision_(precision == Precision::fast && !cpu::kernel_table().grouped_pays ? Precision::balanced : precision),
        threads_(static_cast<int>(own_compute_cpus().resolve(threads))),
        products_(threads_),
        pool_(static_cast<unsigned>(threads_), own_compute_cpus().places(static_cast<unsigned>(threads_))) {}

  std::unique_ptr<Matrix> load_matrix(std::span<const HostTensor> parts, MatrixUse use) override;
  std::uint64_t matrix_bytes(const HostTensor& tensor) const override {
    if (keeps({&tensor, 1})) return cpu::QuantizedMatrix::bytes_of(tensor);
    if (cpu::HalfMatrix::takes({&tensor, 1})) return cpu::HalfMatrix::bytes_of(tensor);
    return tensor.rows * tensor.cols * (cpu::has_bf16_products() ? 2 : 4);
  }
  std::uint64_t table_bytes(const HostTensor& table, bool shared) const override {
    return cpu::LookupTable::bytes_of(table, shared && keeps({&table, 1}));
  }
  MatrixPath matrix_path(std::span<const HostTensor> parts, MatrixUse use) const override;
  std::unique_ptr<Matrix> load_table(const HostTensor& table, const Matrix* same) override {
    const auto* packed = dynamic_cast<const cpu::QuantizedMatrix*>(same);
    if (packed == nullptr) return std::make_unique<cpu::LookupTable>(table);
    return std::make_unique<cpu::LookupTable>(table, *packed);
  }
  std::unique_ptr<Buffer> load_vector(const HostTensor& vector) override {
    auto buffer = std::make_unique<CpuBuffer>(vector.cols);
    dequantize_row(vector, 0, {buffer->data(), buffer->size()});
    return buffer;
  }
  std::unique_ptr<Buffer> allocate(std::size_t size) override { return std::make_unique<CpuBuffer>(size); }

  std::uint32_t padded_rows(std::uint32_t rows) const override { return cpu::padded_rows(rows); }

  KvBlockBytes kv_block_bytes(const KvGeometry& geometry) const override { return cpu::KvArena::block_bytes(geometry); }
  void allocate_kv(const KvGeometry& geometry, std::uint32_t n_blocks, const KvMaps& maps) override {
    warmer_.stop();
    arena_ = cpu::KvArena();  // the old one first: both may not fit
    arena_ = cpu::KvArena(geometry, n_blocks, maps);
    if (const auto memory = arena_.lasting_memory(); !memory.empty()) warmer_.start(memory.data(), memory.size());
    attention_.emplace(cpu::kernel_table().attention.run, geometry.format);
  }
  void give_back_kv(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) override {
    arena_.give_back(blocks, windows);
  }
  void copy_kv_block(std::int32_t from, std::int32_t to) override { arena_.copy_block(from, to); }
  void read_kv_block(std::int32_t block, std::span<std::byte> out) const override { arena_.read_block(block, out); }
  void write_kv_block(std::int32_t block, std::span<const std::byte> bytes) override {
    arena_.write_block(block, bytes);
  }
  void set_rope(std::uint32_t rope, std::span<const float> inverse_frequencies, float magnitude) override {
    rotary_.set(rope, inverse_frequencies, magnitude);
  }

  void embed(const Matrix& table, std::span<const std::int32_t> tokens, Buffer& out) override {
    const std::size_t dim = table.cols();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      static_cast<const cpu::LookupTable&>(table).read(static_cast<std::uint64_t>(tokens[i]),
                                                       {data(out) + i * dim, dim});
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
      quantized->multiply(data(x), rows, data(out), rounded_inputs_, pool_);
      return;
    }
    if (const auto* half = dynamic_cast<const cpu::HalfMatrix*>(&weight)) {
      half->multiply(data(x), rows, data(out), pool_);
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

  void add_bias(Buffer& x, const Buffer& bias, std::uint32_t rows) override {
    const std::size_t dim = bias.size();
    for_rows(rows, [&](std::size_t r) { cpu::add(data(x) + r * dim, data(bias), dim); });
  }

  void scale(Buffer& x, float factor, std::size_t n) override { cpu::multiply(data(x), factor, n); }
  void soft_cap(Buffer& x, float cap, std::size_t n) override { cpu::soft_cap(data(x), cap, n); }

  void norm_heads(const AttentionShape& shape, const Buffer& query_weight, const Buffer& key_weight, float epsilon,
                  std::uint32_t rows, Buffer& qkv) override {
    const std::size_t dim = shape.head_dim;
    for_rows(rows, [&](std::size_t r) {
      float* head = data(qkv) + r * (shape.n_heads + 2 * shape.n_kv_heads) * dim;
      for (std::uint32_t i = 0; i < shape.n_heads + shape.n_kv_heads; ++i, head += dim) {
        cpu::rms_norm(head, data(i < shape.n_heads ? query_weight : key_weight), epsilon, dim, head);
      }
    });
  }

  void gated_linear(const Matrix& weight, Activation activation, const Buffer& x, std::uint32_t rows,
                    Buffer& out) override {
    if (const auto* quantized = dynamic_cast<const cpu::QuantizedMatrix*>(&weight)) {
      quantized->multiply_gated(data(x), rows, activation, data(out), rounded_inputs_, pool_);
      return;
    }
    const std::size_t dim = weight.rows() / 2;
    const std::size_t room = std::size_t{cpu::padded_rows(rows)} * weight.rows();
    if (gate_up_ == nullptr || gate_up_->size() < room) gate_up_ = std::make_unique<CpuBuffer>(room);
    linear(weight, x, rows, *gate_up_);
    pool_.run_rows(rows, [&](std::size_t first, std::size_t end) {
      const auto multiply = activation == Activation::silu ? cpu::silu_mul : cpu::gelu_mul;
      multiply(gate_up_->data() + first * 2 * dim, end - first, dim, data(out) + first * dim, dim);
    });
  }

  void rope_and_store(const AttentionShape& shape, std::span<const SequenceRows> sequences, Buffer& qkv) override {
    rotary_.rotate_and_store(arena_, shape, sequences, data(qkv), pool_);
  }

  void attention(const AttentionShape& shape, std::span<const SequenceRows> sequences, const Buffer& qkv,
                 Buffer& out) override {
    attention_->run(arena_, shape, sequences, data(qkv), data(out), pool_);
  }

  void gather(const Buffer& x, std::span<const std::uint32_t> rows, std::uint32_t dim, Buffer& out) override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(data(out) + i * dim, data(x) + std::size_t{rows[i]} * dim, dim * sizeof(float));
    }
  }

  std::string numerics() const override {
    const cpu::CpuFeatures has = cpu::cpu_features();
    const char* instructions = has.amx           ? "amx"
                               : has.avx512_bf16 ? "avx512_bf16"
                               : has.avx512      ? "avx512"
                               : has.avx2        ? "avx2"
                                                 : "plain";
    return "cpu 8 " + std::string(kPrecisions.at(static_cast<std::size_t>(precision_))) + " " + instructions +
           (has.avx512_vnni ? " vnni" : "") +
           (cpu::kernel_table().attention.run == cpu::AttentionPath::bf16 ? " bf16_attention" : "");
  }
  void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) override { pool_.run(n, work); }
  std::span<float> read(Buffer& x, std::size_t n) override { return {data(x), n}; }

 private:
  /// Whether the codes of the file are kept.
  bool keeps(std::span<const HostTensor> parts) const {
    return precision_ != Precision::exact && cpu::QuantizedMatrix::takes(parts);
  }
  cpu::Rounding rounding(std::span<const HostTensor> parts, MatrixUse use) const;

  template <class Work>
  void for_rows(std::size_t rows, const Work& work) {
    pool_.run_rows(rows, [&](std::size_t first, std::size_t end) {
      for (std::size_t r = first; r < end; ++r) work(r);
    });
  }

  const Precision precision_;  ///< not fast where that is no faster
  const int threads_;
  cpu::WeightMemory weight_memory_;
  cpu::WeightRange first_weights_;
  std::shared_ptr<cpu::WeightRange> last_next_;  ///< of the matrix that was loaded last
  cpu::RoundedInputs rounded_inputs_;
  cpu::Products products_;
  cpu::ThreadPool pool_;
  cpu::KvArena arena_;
  cpu::PageWarmer warmer_;  ///< of the arena
  cpu::Rotary rotary_;
  std::optional<cpu::Attention> attention_;  ///< once there is an arena
  std::vector<std::uint16_t> rounded_;
  std::unique_ptr<CpuBuffer> gate_up_;  ///< of a gated product that is not quantised
};

/// Most matrices tolerate activations of 8 bits; logits do less, and so do the outermost layers, and a narrow model
/// with gates of GELU: see docs/PERFORMANCE.md.
cpu::Rounding CpuBackend::rounding(std::span<const HostTensor> parts, MatrixUse use) const {
  constexpr std::uint64_t kWideModel = 1536;
  const bool tolerant = use.role != MatrixRole::output && !use.outermost;
  if (precision_ != Precision::fast || !tolerant) return cpu::Rounding::rows;
  const bool reads_model = use.role == MatrixRole::gate_up || use.role == MatrixRole::qkv;
  const std::uint64_t model = reads_model ? parts[0].cols : parts[0].rows;
  return use.activation == Activation::silu || model >= kWideModel ? cpu::Rounding::groups : cpu::Rounding::rows;
}

std::unique_ptr<Matrix> CpuBackend::load_matrix(std::span<const HostTensor> parts, MatrixUse use) {
  using Use = cpu::QuantizedMatrix::Use;
  if (!keeps(parts)) {
    if (cpu::HalfMatrix::takes(parts)) return std::make_unique<cpu::HalfMatrix>(parts, weight_memory_, pool_);
    return products_.pack(parts);
  }
  const Use gated = use.role == MatrixRole::gate_up ? Use::gated : Use::linear;
  auto matrix = std::make_unique<cpu::QuantizedMatrix>(parts, gated, weight_memory_, pool_, rounding(parts, use));
  // They are computed in the order in which they are loaded, over and over.
  (last_next_ == nullptr ? first_weights_ : *last_next_) = matrix->range();
  last_next_ = matrix->next();
  *last_next_ = first_weights_;
  return matrix;
}

MatrixPath CpuBackend::matrix_path(std::span<const HostTensor> parts, MatrixUse use) const {
  if (keeps(parts)) {
    std::string types;
    for (const HostTensor& part : parts) {
      const std::string type(name(part.type));
      if (types.find(type) == std::string::npos) types += (types.empty() ? "" : " + ") + type;
    }
    const bool groups = rounding(parts, use) == cpu::Rounding::groups;
    return {(groups ? "8-bit groups (" : "whole numbers (") + types + ")", ""};
  }
  const std::string path = cpu::has_bf16_products()        ? "bfloat16"
                           : cpu::HalfMatrix::takes(parts) ? "float16 weights"
                                                           : "float32";
  const bool quantised = std::ranges::any_of(parts, [](const HostTensor& part) { return block_values(part.type) > 1; });
  if (precision_ == Precision::exact || !quantised) return {path, ""};
  return {path, cpu::QuantizedMatrix::obstacle(parts)};
}

}  // namespace

std::shared_ptr<Backend> make_cpu_backend(std::uint32_t threads, Precision precision) {
  (void)cpu::cpu_choice();  // before Highway chooses anything
  return std::make_shared<CpuBackend>(threads, precision);
}

}  // namespace headwater::kernels
