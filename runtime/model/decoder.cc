#include "model/decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "base/trace.h"
#include "model/decoder_spec.h"

namespace headwater::model {
namespace {

using kernels::Buffer;
using kernels::HostTensor;
using kernels::Matrix;

/// Copies a matrix (or a vector, as its column) of heads, each [head_dim, …], with the first `rope_dim` rows of each in
/// another order: i and i + rope_dim / 2 come to stand beside each other, as rotary embedding wants them here.
HostTensor pair_up(const HostTensor& tensor, std::uint32_t head_dim, std::uint32_t rope_dim, TensorRoom& room) {
  const std::uint64_t rows = tensor.rows;
  const std::size_t bytes = kernels::row_bytes(tensor.type, tensor.cols);
  const std::span<std::byte> out = room.take(rows * bytes);
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::uint64_t i = row % head_dim;
    const std::uint64_t from = i < rope_dim ? row - i + i / 2 + i % 2 * (rope_dim / 2) : row;
    std::memcpy(out.data() + row * bytes, tensor.data + from * bytes, bytes);
  }
  return {out.data(), tensor.type, rows, tensor.cols};
}

/// The weights of one layer.
struct Layer {
  std::unique_ptr<Buffer> attention_norm, ffn_norm;
  std::unique_ptr<Buffer> qkv_bias;  ///< null: none
  std::unique_ptr<Matrix> qkv, attention_out, gate_up, down;
};

class Decoder : public Architecture {
 public:
  Decoder(std::shared_ptr<const GgufFile> file, std::shared_ptr<kernels::Backend> backend, DecoderSpec spec)
      : file_(std::move(file)), backend_(std::move(backend)), spec_(std::move(spec)) {}

  Result<void> load();

  const ModelShape& shape() const override { return spec_.shape; }
  std::uint64_t kv_block_bytes(std::uint32_t block_tokens, const kernels::KvFormat& format) const override {
    return backend_->kv_block_bytes(kv_shape(block_tokens, format));
  }
  void allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) override;
  void copy_kv_block(std::int32_t from, std::int32_t to) override { backend_->copy_kv_block(from, to); }
  void read_kv_block(std::int32_t block, std::span<std::byte> out) const override {
    backend_->read_kv_block(block, out);
  }
  void write_kv_block(std::int32_t block, std::span<const std::byte> bytes) override {
    backend_->write_kv_block(block, bytes);
  }
  std::span<float> forward(const Batch& batch) override;
  void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) override {
    backend_->run_on_host(n, work);
  }

 private:
  kernels::KvShape kv_shape(std::uint32_t block_tokens, const kernels::KvFormat& format) const {
    return {shape().n_layers, shape().n_kv_heads, shape().head_dim, block_tokens, format};
  }
  /// Fills key_centres_. The arena is another one afterwards.
  void find_key_centres();
  std::uint64_t query_dim() const { return std::uint64_t{shape().n_heads} * shape().head_dim; }
  std::uint64_t kv_dim() const { return std::uint64_t{shape().n_kv_heads} * shape().head_dim; }

  Result<void> load_layer(std::uint32_t index);
  using LoadMatrix = std::unique_ptr<Matrix> (kernels::Backend::*)(std::span<const HostTensor>);
  /// A tensor of the file, [rows, cols] of a matrix.
  struct Part {
    std::string name;
    std::uint64_t rows;
    bool turns = false;  ///< its rows are heads that rotary embedding turns
  };
  Result<std::unique_ptr<Matrix>> matrix(std::initializer_list<Part> parts, std::uint64_t cols,
                                         LoadMatrix load = &kernels::Backend::load_matrix) const;
  /// The biases of queries, keys and values, one behind the other.
  Result<std::unique_ptr<Buffer>> qkv_bias(const std::string& prefix) const;
  /// A part as the matrices here have it.
  HostTensor in_order(const HostTensor& tensor, const Part& part, std::size_t place) const;
  Result<std::unique_ptr<Buffer>> vector(const std::string& name, std::uint64_t size) const;
  Result<void> load_rope();
  void make_room(std::uint32_t rows);
  void attend(std::uint32_t layer, const Batch& batch, std::uint32_t rows);
  void feed_forward(const Layer& layer, std::uint32_t rows);
  /// residual += delta; normed = the norm of that.
  void add_and_norm(const Buffer& norm, std::uint32_t rows);

  std::shared_ptr<const GgufFile> file_;               ///< while it is loaded
  mutable std::array<TensorRoom, 3> rooms_, ordered_;  ///< likewise, for the parts of a matrix
  std::shared_ptr<kernels::Backend> backend_;
  DecoderSpec spec_;
  std::unique_ptr<Matrix> embedding_;  ///< for lookup
  std::unique_ptr<Matrix> output_;
  std::unique_ptr<Buffer> output_norm_;
  std::vector<Layer> layers_;
  std::vector<float> key_centres_;  ///< [n_layers, n_kv_heads, head_dim], once a format needs them

  // Activations, for `room_` rows.
  std::uint32_t room_ = 0;
  std::unique_ptr<Buffer> residual_, normed_, qkv_, attended_, delta_, hidden_, picked_, logits_;
};

HostTensor Decoder::in_order(const HostTensor& tensor, const Part& part, std::size_t place) const {
  if (!part.turns || spec_.rope.pairs == RopeSpec::Pairs::neighbours) return tensor;
  return pair_up(tensor, shape().head_dim, spec_.rope.dim, ordered_.at(place));
}

Result<std::unique_ptr<Matrix>> Decoder::matrix(std::initializer_list<Part> parts, std::uint64_t cols,
                                                LoadMatrix load) const {
  std::vector<HostTensor> tensors;
  for (const Part& part : parts) {
    const std::uint64_t dims[] = {cols, part.rows};
    auto tensor = file_->tensor(part.name, dims, rooms_.at(tensors.size()));
    if (!tensor) return tensor.error();
    tensors.push_back(in_order(*tensor, part, tensors.size()));
  }
  return (*backend_.*load)(tensors);
}

Result<std::unique_ptr<Buffer>> Decoder::qkv_bias(const std::string& prefix) const {
  std::vector<float> biases;
  for (const Part& part : {Part{prefix + "attn_q.bias", query_dim(), true},
                           Part{prefix + "attn_k.bias", kv_dim(), true}, Part{prefix + "attn_v.bias", kv_dim()}}) {
    const std::uint64_t dims[] = {part.rows};
    auto tensor = file_->tensor(part.name, dims, rooms_[0]);
    if (!tensor) return tensor.error();
    std::vector<float> values(part.rows);
    kernels::dequantize_row(*tensor, 0, values);
    const HostTensor column{reinterpret_cast<const std::byte*>(values.data()), kernels::DType::f32, part.rows, 1};
    const HostTensor ordered = in_order(column, part, 0);
    const auto* const first = reinterpret_cast<const float*>(ordered.data);
    biases.insert(biases.end(), first, first + part.rows);
  }
  return backend_->load_vector(
      {reinterpret_cast<const std::byte*>(biases.data()), kernels::DType::f32, 1, biases.size()});
}

Result<std::unique_ptr<Buffer>> Decoder::vector(const std::string& name, std::uint64_t size) const {
  const std::uint64_t dims[] = {size};
  const auto tensor = file_->tensor(name, dims, rooms_[0]);
  if (!tensor) return tensor.error();
  return backend_->load_vector(*tensor);
}

Result<void> Decoder::load_layer(std::uint32_t index) {
  const std::string prefix = "blk." + std::to_string(index) + ".";
  const std::uint64_t dim = shape().embedding_dim;
  for (const std::string bias : {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias", "ffn_gate.bias",
                                 "ffn_up.bias", "ffn_down.bias"}) {
    const bool expected = spec_.qkv_bias && (bias == "attn_q.bias" || bias == "attn_k.bias" || bias == "attn_v.bias");
    if (!expected && file_->find_tensor(prefix + bias) != nullptr) {
      return file_->invalid("tensor \"" + prefix + bias + "\" is there, expected a " + shape().architecture +
                            " model without that bias");
    }
  }
  Layer layer;
  if (spec_.qkv_bias) {
    auto loaded = qkv_bias(prefix);
    if (!loaded) return loaded.error();
    layer.qkv_bias = std::move(*loaded);
  }
  const auto keep = [](auto result, auto& place) -> Result<void> {
    if (!result) return result.error();
    place = std::move(*result);
    return {};
  };
  for (const Result<void>& loaded : std::initializer_list<Result<void>>{
           keep(vector(prefix + "attn_norm.weight", dim), layer.attention_norm),
           keep(matrix({{prefix + "attn_q.weight", query_dim(), true},
                        {prefix + "attn_k.weight", kv_dim(), true},
                        {prefix + "attn_v.weight", kv_dim()}},
                       dim),
                layer.qkv),
           keep(matrix({{prefix + "attn_output.weight", dim}}, query_dim()), layer.attention_out),
           keep(vector(prefix + "ffn_norm.weight", dim), layer.ffn_norm),
           keep(matrix({{prefix + "ffn_gate.weight", spec_.ffn_dim}, {prefix + "ffn_up.weight", spec_.ffn_dim}}, dim,
                       &kernels::Backend::load_gated_matrix),
                layer.gate_up),
           keep(matrix({{prefix + "ffn_down.weight", dim}}, spec_.ffn_dim), layer.down)}) {
    if (!loaded) return loaded;
  }
  layers_.push_back(std::move(layer));
  return {};
}

Result<void> Decoder::load_rope() {
  std::vector<float> frequencies(spec_.rope.dim / 2);
  std::vector<float> factors(frequencies.size(), 1.0F);
  if (file_->find_tensor("rope_freqs.weight") != nullptr) {  // Llama 3.1 scales each frequency by itself
    const std::uint64_t dims[] = {frequencies.size()};
    const auto tensor = file_->tensor("rope_freqs.weight", dims, rooms_[0]);
    if (!tensor) return tensor.error();
    kernels::dequantize_row(*tensor, 0, factors);
  }
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / spec_.rope.dim;
    frequencies[i] = static_cast<float>(std::pow(spec_.rope.base, exponent) / spec_.rope.factor / factors[i]);
  }
  backend_->set_rope(frequencies);
  return {};
}

Result<void> Decoder::load() {
  const std::uint64_t dim = shape().embedding_dim;
  const std::uint64_t dims[] = {dim, shape().vocab_size};
  const bool tied = file_->find_tensor("output.weight") == nullptr;
  auto output = matrix({{tied ? "token_embd.weight" : "output.weight", shape().vocab_size}}, dim);
  if (!output) return output.error();
  output_ = std::move(*output);
  const auto table = file_->tensor("token_embd.weight", dims, rooms_[0]);
  if (!table) return table.error();
  embedding_ = backend_->load_table(*table, tied ? output_.get() : nullptr);
  auto norm = vector("output_norm.weight", dim);
  if (!norm) return norm.error();
  output_norm_ = std::move(*norm);
  for (std::uint32_t i = 0; i < shape().n_layers; ++i) {
    if (auto loaded = load_layer(i); !loaded) return loaded;
  }
  if (auto loaded = load_rope(); !loaded) return loaded;
  rooms_ = {};
  ordered_ = {};
  file_.reset();
  return {};
}

void Decoder::allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) {
  if (format.centre_keys && key_centres_.empty()) find_key_centres();
  backend_->allocate_kv(kv_shape(block_tokens, format), n_blocks,
                        format.centre_keys ? std::span<const float>(key_centres_) : std::span<const float>());
}

/// The centres belong to the model: tokens that are always the same, and positions as many texts have. Of more tokens
/// they come out much the same.
void Decoder::find_key_centres() {
  constexpr std::uint32_t kTokens = 64;
  constexpr std::uint32_t kPositions = 4096;
  std::vector<TokenId> tokens(std::min(kTokens, shape().context_length));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<TokenId>((i * 104729U + 7U) % shape().vocab_size);
  }
  backend_->allocate_kv(kv_shape(kTokens, {}), 1);
  const std::int32_t table[] = {0};
  const BatchSequence all[] = {{0, static_cast<std::uint32_t>(tokens.size()), 0, table}};
  forward({tokens, all, {}});
  key_centres_ = backend_->key_centres(spec_.rope.dim, all[0], std::min(kPositions, shape().context_length));
}

void Decoder::make_room(std::uint32_t rows) {
  if (rows <= room_) return;
  room_ = backend_->padded_rows(std::max(rows, 64U));
  const auto sized = [&](std::uint64_t dim) { return backend_->allocate(room_ * dim); };
  residual_ = sized(shape().embedding_dim);
  normed_ = sized(shape().embedding_dim);
  delta_ = sized(shape().embedding_dim);
  picked_ = sized(shape().embedding_dim);
  qkv_ = sized(query_dim() + 2 * kv_dim());
  attended_ = sized(query_dim());
  hidden_ = sized(spec_.ffn_dim);
}

void Decoder::attend(std::uint32_t index, const Batch& batch, std::uint32_t rows) {
  const kernels::AttentionShape heads{index, shape().n_heads, shape().n_kv_heads, shape().head_dim, spec_.rope.dim};
  {
    const trace::Span span("qkv", rows);
    backend_->linear(*layers_[index].qkv, *normed_, rows, *qkv_);
    if (layers_[index].qkv_bias != nullptr) backend_->add_bias(*qkv_, *layers_[index].qkv_bias, rows);
  }
  {
    const trace::Span span("rope_and_store", rows);
    backend_->rope_and_store(heads, batch.sequences, *qkv_);
  }
  {
    const trace::Span span("attention", rows);
    backend_->attention(heads, batch.sequences, *qkv_, *attended_);
  }
  const trace::Span span("attention_out", rows);
  backend_->linear(*layers_[index].attention_out, *attended_, rows, *delta_);
}

void Decoder::add_and_norm(const Buffer& norm, std::uint32_t rows) {
  const trace::Span span("add_and_norm", rows);
  backend_->add_rms_norm(*residual_, *delta_, norm, spec_.epsilon, rows, *normed_);
}

void Decoder::feed_forward(const Layer& layer, std::uint32_t rows) {
  {
    const trace::Span span("gate_up", rows);
    backend_->gated_linear(*layer.gate_up, *normed_, rows, *hidden_);
  }
  const trace::Span span("down", rows);
  backend_->linear(*layer.down, *hidden_, rows, *delta_);
}

std::span<float> Decoder::forward(const Batch& batch) {
  const auto rows = static_cast<std::uint32_t>(batch.tokens.size());
  const trace::Span span("forward", rows);
  make_room(rows);
  backend_->embed(*embedding_, batch.tokens, *residual_);
  backend_->rms_norm(*residual_, *layers_[0].attention_norm, spec_.epsilon, rows, *normed_);
  for (std::uint32_t i = 0; i < shape().n_layers; ++i) {
    attend(i, batch, rows);
    add_and_norm(*layers_[i].ffn_norm, rows);
    feed_forward(layers_[i], rows);
    const bool last = i + 1 == shape().n_layers;
    const Buffer& next_norm = last ? *output_norm_ : *layers_[i + 1].attention_norm;
    add_and_norm(next_norm, rows);
  }
  if (batch.logit_rows.empty()) return {};
  const auto n_logits = static_cast<std::uint32_t>(batch.logit_rows.size());
  const std::size_t wanted = std::size_t{backend_->padded_rows(n_logits)} * shape().vocab_size;
  if (logits_ == nullptr || logits_->size() < wanted) logits_ = backend_->allocate(wanted);
  const trace::Span logits_span("logits", n_logits);
  backend_->gather(*normed_, batch.logit_rows, shape().embedding_dim, *picked_);
  backend_->linear(*output_, *picked_, n_logits, *logits_);
  return backend_->read(*logits_, std::size_t{n_logits} * shape().vocab_size);
}

}  // namespace

Result<std::unique_ptr<Architecture>> load_decoder(std::shared_ptr<const GgufFile> file,
                                                   std::shared_ptr<kernels::Backend> backend) {
  auto spec = read_decoder_spec(*file);
  if (!spec) return spec.error();
  auto model = std::make_unique<Decoder>(std::move(file), std::move(backend), std::move(*spec));
  if (auto loaded = model->load(); !loaded) return loaded.error();
  return std::unique_ptr<Architecture>(std::move(model));
}

}  // namespace headwater::model
