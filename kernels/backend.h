#pragma once
// All that a model knows of the hardware: weights, buffers, a paged KV arena, and the operations of a
// transformer. A second kind of hardware is a second implementation.
//
// THE LAW of every operation: a row's result is bit-identical whatever rows stand beside it. Reductions run in an
// order fixed by position (over K of a product, over the context of attention), never by the batch's shape.
//
// Threading: one caller at a time. Shapes are row-major, the last dimension contiguous; activations are float32.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/block_grid.h"
#include "kernels/kv_format.h"
#include "kernels/precision.h"
#include "kernels/tensor.h"

namespace headwater::kernels {

/// What a gate goes through before it is multiplied.
enum class Activation : std::uint8_t {
  silu,  ///< x / (1 + e^-x)
  gelu,  ///< x · Φ(x) in the form with tanh: x / (1 + e^-2y), y = √(2/π) · (x + 0.044715 x³)
};

/// What a matrix of a decoder is for.
enum class MatrixRole : std::uint8_t {
  qkv,            ///< queries, keys and values
  attention_out,  ///< what becomes of attention
  gate_up,        ///< gate [dim, cols] above up, for gated_linear() alone
  down,           ///< the other of a feed-forward layer
  output,         ///< logits
};

/// How finely a matrix's products have to be computed depends on it.
struct MatrixUse {
  MatrixRole role{};
  Activation activation = Activation::silu;  ///< of the model's feed-forward layers
  bool outermost = false;                    ///< of the first or the last layer
};

/// How products with a matrix are computed, for people.
struct MatrixPath {
  std::string name;      ///< "whole numbers (Q4_K + Q6_K)", "8-bit groups (Q4_K)", "bfloat16"
  std::string obstacle;  ///< why quantised weights fall back to that; empty: they do not, or it was asked for

  std::string text() const { return obstacle.empty() ? name : name + ", since " + obstacle; }
};

/// A weight matrix [rows, cols] in the layout that the hardware likes best.
class Matrix {
 public:
  virtual ~Matrix() = default;
  std::uint32_t rows() const { return rows_; }
  std::uint32_t cols() const { return cols_; }

 protected:
  Matrix(std::uint32_t rows, std::uint32_t cols) : rows_(rows), cols_(cols) {}
  std::uint32_t rows_, cols_;
};

/// A float32 vector or array of activations, where the hardware computes.
class Buffer {
 public:
  virtual ~Buffer() = default;
  std::size_t size() const { return size_; }

 protected:
  explicit Buffer(std::size_t size) : size_(size) {}
  std::size_t size_;
};

/// Consecutive rows of a batch that belong to one sequence.
struct SequenceRows {
  std::uint32_t first_row = 0;
  std::uint32_t n_rows = 0;
  std::uint32_t first_position = 0;           ///< of first_row; positions below it are in the KV arena
  std::span<const std::int32_t> block_table;  ///< position p lives in block block_table[grid.block_of(p)]
};

/// What a layer keeps of a token.
struct KvLayer {
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  bool windowed = false;  ///< nothing looks further back than a window: its rows can be given back
};

/// What the KV arena holds.
struct KvGeometry {
  std::vector<KvLayer> layers;
  std::uint32_t block_tokens = 0;
  KvFormat format{};

  BlockGrid grid() const { return block_grid(format, block_tokens); }
};

/// What a quantised arena does to keys and values, found for a model once: by layer and KV head. Empty: nothing.
/// A key k is stored as keys · (k - centre), and a query of the head's group becomes queries · q, where keysᵀ · queries
/// is the identity: so all scores of a query change by the same amount, which softmax does not see.
struct KvMaps {
  std::vector<float> centres;       ///< [layers][n_kv_heads, head_dim]; a 16-bit arena takes these, too
  std::vector<float> keys;          ///< [layers][n_kv_heads, head_dim, head_dim]
  std::vector<float> queries;       ///< likewise
  std::vector<float> value_scales;  ///< [layers][n_kv_heads], powers of two: values are stored times these
};

/// Bytes of a block.
struct KvBlockBytes {
  std::uint64_t full = 0;  ///< of layers that see all tokens
  std::uint64_t windowed = 0;
  std::uint64_t total() const { return full + windowed; }
};

/// The heads of an attention layer; qkv rows hold queries, keys, values: [n_heads + 2 * n_kv_heads, head_dim].
struct AttentionShape {
  std::uint32_t layer = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t rope_dim = 0;  ///< leading values of a head that are rotated, even
  std::uint32_t rope = 0;      ///< the table of set_rope() that they are rotated by
  std::uint32_t window = 0;    ///< last tokens that a query sees, its own among them; 0: all
  float scale = 0;             ///< of scores; 0: 1 / sqrt(head_dim)
  float cap = 0;               ///< a score becomes cap · tanh(score / cap); 0: it stays
};

/// Rotary tables that there can be.
inline constexpr std::uint32_t kMaxRopes = 4;

class Backend {
 public:
  virtual ~Backend() = default;

  // ---- loading; the host memory is not needed afterwards -------------------------------------------
  /// One matrix from parts that stand one above the other; all have the same number of columns.
  virtual std::unique_ptr<Matrix> load_matrix(std::span<const HostTensor> parts, MatrixUse use) = 0;
  /// A matrix whose rows are looked up, exactly as `table` has them. same: what load_matrix() made of this very tensor,
  /// whose memory the result may share; or null.
  virtual std::unique_ptr<Matrix> load_table(const HostTensor& table, const Matrix* same) = 0;
  /// Bytes that a matrix takes once loaded; `tensor` needs no data.
  virtual std::uint64_t matrix_bytes(const HostTensor& tensor) const = 0;
  /// Bytes that a table takes; shared: beside those of the matrix that load_table() is given. `table` needs no data.
  virtual std::uint64_t table_bytes(const HostTensor& table, bool shared) const = 0;
  /// How products with a matrix of these parts are computed. The parts need no data.
  virtual MatrixPath matrix_path(std::span<const HostTensor> parts, MatrixUse use) const = 0;
  virtual std::unique_ptr<Buffer> load_vector(const HostTensor& vector) = 0;
  virtual std::unique_ptr<Buffer> allocate(std::size_t size) = 0;
  /// Rows that a product may touch where `rows` are asked for; buffers need room for as many.
  virtual std::uint32_t padded_rows(std::uint32_t rows) const = 0;

  // ---- the KV arena ---------------------------------------------------------------------------------
  /// Throws std::invalid_argument for a head_dim that the format cannot hold.
  virtual KvBlockBytes kv_block_bytes(const KvGeometry& geometry) const = 0;
  /// (Re)creates the arena; untouched blocks take no memory. Throws std::bad_alloc; std::invalid_argument for a
  /// head_dim or block_tokens that the format cannot hold.
  virtual void allocate_kv(const KvGeometry& geometry, std::uint32_t n_blocks, const KvMaps& maps = {}) = 0;
  /// The memory of these whole blocks, and of the windowed layers of those, returns to the system. What they held is
  /// gone, and they may be written again at any time. Other blocks keep what they hold.
  virtual void give_back_kv(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) = 0;
  /// Gives block `to` all that block `from` holds, bit by bit.
  virtual void copy_kv_block(std::int32_t from, std::int32_t to) = 0;
  /// All that a block holds, kv_block_bytes().total() of it, layer after layer, and the way back. Blocks that differ
  /// may be read and written side by side.
  virtual void read_kv_block(std::int32_t block, std::span<std::byte> out) const = 0;
  virtual void write_kv_block(std::int32_t block, std::span<const std::byte> bytes) = 0;
  /// Table `rope` (below kMaxRopes) of rotary embedding: inverse frequencies, [rope_dim / 2], for all positions from 0
  /// on. What is turned grows by `magnitude`.
  virtual void set_rope(std::uint32_t rope, std::span<const float> inverse_frequencies, float magnitude) = 0;

  // ---- operations -----------------------------------------------------------------------------------
  /// out: [tokens, table.cols].
  virtual void embed(const Matrix& table, std::span<const std::int32_t> tokens, Buffer& out) = 0;
  /// out = x / rms(x) * weight. x, out: [rows, dim]; they may be one.
  virtual void rms_norm(const Buffer& x, const Buffer& weight, float epsilon, std::uint32_t rows, Buffer& out) = 0;
  /// x += delta, then as above.
  virtual void add_rms_norm(Buffer& x, const Buffer& delta, const Buffer& weight, float epsilon, std::uint32_t rows,
                            Buffer& out) = 0;
  /// out = x · weightᵀ. x: [rows, weight.cols], out: [rows, weight.rows]; both with room for padded_rows(rows).
  virtual void linear(const Matrix& weight, const Buffer& x, std::uint32_t rows, Buffer& out) = 0;
  /// x += bias, in each row. x: [rows, bias.size()].
  virtual void add_bias(Buffer& x, const Buffer& bias, std::uint32_t rows) = 0;
  /// out = activation(x · gateᵀ) * (x · upᵀ), of a weight of MatrixRole::gate_up. out: [rows, dim]; x with room
  /// for padded_rows(rows).
  virtual void gated_linear(const Matrix& weight, Activation activation, const Buffer& x, std::uint32_t rows,
                            Buffer& out) = 0;
  /// x *= factor, the first `n` values.
  virtual void scale(Buffer& x, float factor, std::size_t n) = 0;
  /// x = cap · tanh(x / cap), the first `n` values.
  virtual void soft_cap(Buffer& x, float cap, std::size_t n) = 0;
  /// Each query and key of qkv's rows becomes x / rms(x) * weight. Weights: [head_dim].
  virtual void norm_heads(const AttentionShape& shape, const Buffer& query_weight, const Buffer& key_weight,
                          float epsilon, std::uint32_t rows, Buffer& qkv) = 0;
  /// Rotates queries (in place, and scales them as attention() wants them) and keys by their positions, pairs of
  /// neighbours (2i, 2i + 1) each; writes keys and values into the arena.
  virtual void rope_and_store(const AttentionShape& shape, std::span<const SequenceRows> sequences, Buffer& qkv) = 0;
  /// Causal attention of every row over its sequence's tokens as the arena holds them, those before shape.window left
  /// out. out: [rows, n_heads * head_dim].
  virtual void attention(const AttentionShape& shape, std::span<const SequenceRows> sequences, const Buffer& qkv,
                         Buffer& out) = 0;
  /// out[i] = x[rows[i]]. x: [_, dim].
  virtual void gather(const Buffer& x, std::span<const std::uint32_t> rows, std::uint32_t dim, Buffer& out) = 0;
  /// The first `n` values in the host's memory. They may be overwritten, and last until x is written again.
  virtual std::span<float> read(Buffer& x, std::size_t n) = 0;
  /// Names how results are rounded: where two backends have one name, they write the same bits into the KV arena.
  virtual std::string numerics() const = 0;
  /// Runs work(0) … work(n - 1) on the host, side by side where it has threads to spare; they must not throw.
  virtual void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) = 0;
};

/// The CPU. threads: 0 is as many as pay (compute_cpus.h).
std::shared_ptr<Backend> make_cpu_backend(std::uint32_t threads, Precision precision = Precision::fast);

}  // namespace headwater::kernels
