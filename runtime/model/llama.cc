#include "model/llama.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "base/trace.h"

namespace headwater::model {
namespace {

using kernels::Buffer;
using kernels::HostTensor;
using kernels::Matrix;

/// Greater values in a file are mistakes: they bound what is computed from them to 64 bits.
constexpr std::uint64_t kMaxDimension = 1U << 20U;
constexpr std::uint64_t kMaxContext = 1U << 24U;
constexpr std::uint64_t kMaxLayers = 1024;

struct Hyperparameters {
  ModelShape shape;
  std::uint32_t ffn_dim = 0;
  std::uint32_t rope_dim = 0;
  double rope_base = 0;
  double rope_factor = 1;  ///< linear scaling: positions are divided by it
  float epsilon = 0;
};

Error bad(const GgufFile& file, const std::string& message) {
  return {ErrorCode::invalid_model, file.path() + ": " + message, ""};
}

/// Reads and checks the metadata one after the other; the first mistake is kept.
class Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file) {}

  std::uint32_t dimension(const std::string& key, std::uint64_t most, std::optional<std::uint64_t> fallback = {}) {
    const auto value = fallback ? file_.get_uint_or(key, *fallback) : file_.get_uint(key);
    if (!value) return fail(value.error());
    if (*value == 0 || *value > most) {
      return fail(bad(
          file_, "metadata \"" + key + "\" is " + std::to_string(*value) + ", expected 1 … " + std::to_string(most)));
    }
    return static_cast<std::uint32_t>(*value);
  }

  double positive(const std::string& key, double fallback) {
    const auto value = file_.get_float_or(key, fallback);
    if (!value) return fail(value.error());
    if (!(*value > 0) || !std::isfinite(*value)) {
      return fail(bad(file_, "metadata \"" + key + "\" is not a number greater than 0"));
    }
    return *value;
  }

  std::uint32_t fail(Error error) {
    if (!error_) error_ = std::move(error);
    return 1;  // a harmless value: nothing is built after a mistake
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const GgufFile& file_;
  std::optional<Error> error_;
};

Result<Hyperparameters> read_hyperparameters(const GgufFile& file) {
  Reader read(file);
  Hyperparameters hyper;
  ModelShape& shape = hyper.shape;
  shape.architecture = "llama";
  shape.n_layers = read.dimension("llama.block_count", kMaxLayers);
  shape.context_length = read.dimension("llama.context_length", kMaxContext);
  shape.embedding_dim = read.dimension("llama.embedding_length", kMaxDimension);
  hyper.ffn_dim = read.dimension("llama.feed_forward_length", kMaxDimension);
  shape.n_heads = read.dimension("llama.attention.head_count", kMaxDimension);
  shape.n_kv_heads = read.dimension("llama.attention.head_count_kv", kMaxDimension, shape.n_heads);
  shape.head_dim =
      read.dimension("llama.attention.key_length", kMaxDimension, std::max(1U, shape.embedding_dim / shape.n_heads));
  hyper.rope_dim = read.dimension("llama.rope.dimension_count", kMaxDimension, shape.head_dim);
  hyper.rope_base = read.positive("llama.rope.freq_base", 10000);
  hyper.epsilon = static_cast<float>(read.positive("llama.attention.layer_norm_rms_epsilon", 1e-5));
  if (read.error()) return *read.error();

  if (shape.n_heads % shape.n_kv_heads != 0) {
    return bad(file, "llama.attention.head_count is " + std::to_string(shape.n_heads) +
                         ", expected a multiple of llama.attention.head_count_kv, " + std::to_string(shape.n_kv_heads));
  }
  const auto value_length = file.get_uint_or("llama.attention.value_length", shape.head_dim);
  if (!value_length) return value_length.error();
  if (*value_length != shape.head_dim) {
    return bad(file, "llama.attention.value_length differs from key_length, expected the same");
  }
  const std::uint64_t heads_dim = std::uint64_t{shape.n_heads} * shape.head_dim;
  if (heads_dim > kMaxDimension ||
      (file.find("llama.attention.key_length") == nullptr && heads_dim != shape.embedding_dim)) {
    return bad(file, "llama.attention.head_count is " + std::to_string(shape.n_heads) +
                         ", expected a divisor of llama.embedding_length, " + std::to_string(shape.embedding_dim));
  }
  if (hyper.rope_dim % 2 != 0 || hyper.rope_dim > shape.head_dim) {
    return bad(file, "llama.rope.dimension_count is " + std::to_string(hyper.rope_dim) +
                         ", expected an even number of at most the head's " + std::to_string(shape.head_dim));
  }
  if (file.find("llama.rope.scaling.type") != nullptr) {
    const auto type = file.get_string("llama.rope.scaling.type");
    if (!type) return type.error();
    if (*type == "linear") {
      hyper.rope_factor = read.positive("llama.rope.scaling.factor", 1);
    } else if (*type != "none") {
      return bad(file, "llama.rope.scaling.type is \"" + *type + "\", expected one of none, linear");
    }
  }
  if (read.error()) return *read.error();

  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return bad(file, "tensor \"token_embd.weight\" is missing");
  if (embedding->dims.size() != 2 || embedding->dims[0] != shape.embedding_dim || embedding->dims[1] > kMaxContext) {
    return bad(file, "tensor \"token_embd.weight\" has another shape than [" + std::to_string(shape.embedding_dim) +
                         " x vocabulary]");
  }
  shape.vocab_size = static_cast<std::uint32_t>(embedding->dims[1]);
  for (const GgufTensor& tensor : file.tensors()) {
    shape.parameters += std::accumulate(tensor.dims.begin(), tensor.dims.end(), std::uint64_t{1}, std::multiplies<>());
  }
  return hyper;
}

/// The weights of one layer.
struct Layer {
  std::unique_ptr<Buffer> attention_norm, ffn_norm;
  std::unique_ptr<Matrix> qkv, attention_out, gate_up, down;
};

class Llama : public Architecture {
 public:
  Llama(std::shared_ptr<const GgufFile> file, std::shared_ptr<kernels::Backend> backend, Hyperparameters hyper)
      : file_(std::move(file)), backend_(std::move(backend)), hyper_(std::move(hyper)) {}

  Result<void> load();

  const ModelShape& shape() const override { return hyper_.shape; }
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
  Result<std::unique_ptr<Matrix>> matrix(std::initializer_list<std::pair<std::string, std::uint64_t>> parts,
                                         std::uint64_t cols, LoadMatrix load = &kernels::Backend::load_matrix) const;
  Result<std::unique_ptr<Buffer>> vector(const std::string& name, std::uint64_t size) const;
  Result<void> load_rope();
  void make_room(std::uint32_t rows);
  void attend(std::uint32_t layer, const Batch& batch, std::uint32_t rows);
  void feed_forward(const Layer& layer, std::uint32_t rows);
  /// residual += delta; normed = the norm of that.
  void add_and_norm(const Buffer& norm, std::uint32_t rows);

  std::shared_ptr<const GgufFile> file_;     ///< while it is loaded
  mutable std::array<TensorRoom, 3> rooms_;  ///< likewise, for the parts of a matrix
  std::shared_ptr<kernels::Backend> backend_;
  Hyperparameters hyper_;
  std::unique_ptr<Matrix> embedding_;  ///< for lookup
  std::unique_ptr<Matrix> output_;
  std::unique_ptr<Buffer> output_norm_;
  std::vector<Layer> layers_;
  std::vector<float> key_centres_;  ///< [n_layers, n_kv_heads, head_dim], once a format needs them

  // Activations, for `room_` rows.
  std::uint32_t room_ = 0;
  std::unique_ptr<Buffer> residual_, normed_, qkv_, attended_, delta_, hidden_, picked_, logits_;
};

Result<std::unique_ptr<Matrix>> Llama::matrix(std::initializer_list<std::pair<std::string, std::uint64_t>> parts,
                                              std::uint64_t cols, LoadMatrix load) const {
  std::vector<HostTensor> tensors;
  for (const auto& [name, rows] : parts) {
    const std::uint64_t dims[] = {cols, rows};
    auto tensor = file_->tensor(name, dims, rooms_.at(tensors.size()));
    if (!tensor) return tensor.error();
    tensors.push_back(*tensor);
  }
  return (*backend_.*load)(tensors);
}

Result<std::unique_ptr<Buffer>> Llama::vector(const std::string& name, std::uint64_t size) const {
  const std::uint64_t dims[] = {size};
  const auto tensor = file_->tensor(name, dims, rooms_[0]);
  if (!tensor) return tensor.error();
  return backend_->load_vector(*tensor);
}

Result<void> Llama::load_layer(std::uint32_t index) {
  const std::string prefix = "blk." + std::to_string(index) + ".";
  const std::uint64_t dim = shape().embedding_dim;
  for (const char* bias : {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias", "ffn_gate.bias",
                           "ffn_up.bias", "ffn_down.bias"}) {
    if (file_->find_tensor(prefix + bias) != nullptr) {
      return bad(*file_, "tensor \"" + prefix + bias + "\" is there, expected a llama model without biases");
    }
  }
  Layer layer;
  const auto keep = [](auto result, auto& place) -> Result<void> {
    if (!result) return result.error();
    place = std::move(*result);
    return {};
  };
  for (const Result<void>& loaded : std::initializer_list<Result<void>>{
           keep(vector(prefix + "attn_norm.weight", dim), layer.attention_norm),
           keep(matrix({{prefix + "attn_q.weight", query_dim()},
                        {prefix + "attn_k.weight", kv_dim()},
                        {prefix + "attn_v.weight", kv_dim()}},
                       dim),
                layer.qkv),
           keep(matrix({{prefix + "attn_output.weight", dim}}, query_dim()), layer.attention_out),
           keep(vector(prefix + "ffn_norm.weight", dim), layer.ffn_norm),
           keep(matrix({{prefix + "ffn_gate.weight", hyper_.ffn_dim}, {prefix + "ffn_up.weight", hyper_.ffn_dim}}, dim,
                       &kernels::Backend::load_gated_matrix),
                layer.gate_up),
           keep(matrix({{prefix + "ffn_down.weight", dim}}, hyper_.ffn_dim), layer.down)}) {
    if (!loaded) return loaded;
  }
  layers_.push_back(std::move(layer));
  return {};
}

Result<void> Llama::load_rope() {
  std::vector<float> frequencies(hyper_.rope_dim / 2);
  std::vector<float> factors(frequencies.size(), 1.0F);
  if (file_->find_tensor("rope_freqs.weight") != nullptr) {  // Llama 3.1 scales each frequency by itself
    const std::uint64_t dims[] = {frequencies.size()};
    const auto tensor = file_->tensor("rope_freqs.weight", dims, rooms_[0]);
    if (!tensor) return tensor.error();
    kernels::dequantize_row(*tensor, 0, factors);
  }
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / hyper_.rope_dim;
    frequencies[i] = static_cast<float>(std::pow(hyper_.rope_base, exponent) / hyper_.rope_factor / factors[i]);
  }
  backend_->set_rope(frequencies);
  return {};
}

Result<void> Llama::load() {
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
  file_.reset();
  return {};
}

void Llama::allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) {
  if (format.centre_keys && key_centres_.empty()) find_key_centres();
  backend_->allocate_kv(kv_shape(block_tokens, format), n_blocks,
                        format.centre_keys ? std::span<const float>(key_centres_) : std::span<const float>());
}

/// The centres belong to the model: tokens that are always the same, and positions as many texts have. Of more tokens
/// they come out much the same.
void Llama::find_key_centres() {
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
  key_centres_ = backend_->key_centres(hyper_.rope_dim, all[0], std::min(kPositions, shape().context_length));
}

void Llama::make_room(std::uint32_t rows) {
  if (rows <= room_) return;
  room_ = backend_->padded_rows(std::max(rows, 64U));
  const auto sized = [&](std::uint64_t dim) { return backend_->allocate(room_ * dim); };
  residual_ = sized(shape().embedding_dim);
  normed_ = sized(shape().embedding_dim);
  delta_ = sized(shape().embedding_dim);
  picked_ = sized(shape().embedding_dim);
  qkv_ = sized(query_dim() + 2 * kv_dim());
  attended_ = sized(query_dim());
  hidden_ = sized(hyper_.ffn_dim);
}

void Llama::attend(std::uint32_t index, const Batch& batch, std::uint32_t rows) {
  const kernels::AttentionShape heads{index, shape().n_heads, shape().n_kv_heads, shape().head_dim, hyper_.rope_dim};
  {
    const trace::Span span("qkv", rows);
    backend_->linear(*layers_[index].qkv, *normed_, rows, *qkv_);
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

void Llama::add_and_norm(const Buffer& norm, std::uint32_t rows) {
  const trace::Span span("add_and_norm", rows);
  backend_->add_rms_norm(*residual_, *delta_, norm, hyper_.epsilon, rows, *normed_);
}

void Llama::feed_forward(const Layer& layer, std::uint32_t rows) {
  {
    const trace::Span span("gate_up", rows);
    backend_->gated_linear(*layer.gate_up, *normed_, rows, *hidden_);
  }
  const trace::Span span("down", rows);
  backend_->linear(*layer.down, *hidden_, rows, *delta_);
}

std::span<float> Llama::forward(const Batch& batch) {
  const auto rows = static_cast<std::uint32_t>(batch.tokens.size());
  const trace::Span span("forward", rows);
  make_room(rows);
  backend_->embed(*embedding_, batch.tokens, *residual_);
  backend_->rms_norm(*residual_, *layers_[0].attention_norm, hyper_.epsilon, rows, *normed_);
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

Result<ModelShape> llama_shape(const GgufFile& file) {
  auto hyper = read_hyperparameters(file);
  if (!hyper) return hyper.error();
  return hyper->shape;
}

Result<std::unique_ptr<Architecture>> load_llama(std::shared_ptr<const GgufFile> file,
                                                 std::shared_ptr<kernels::Backend> backend) {
  auto hyper = read_hyperparameters(*file);
  if (!hyper) return hyper.error();
  auto model = std::make_unique<Llama>(std::move(file), std::move(backend), std::move(*hyper));
  if (auto loaded = model->load(); !loaded) return loaded.error();
  return std::unique_ptr<Architecture>(std::move(model));
}

}  // namespace headwater::model
