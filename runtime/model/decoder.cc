#include "model/decoder.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/trace.h"
#include "model/decoder_spec.h"
#include "model/decoder_weights.h"
#include "model/kv_learner.h"
#include "model/kv_learning_text.h"
#include "model/kv_maps.h"
#include "model/kv_maps_finder.h"

namespace headwater::model {
namespace {

using kernels::Buffer;

/// Has a learner see what is computed, until the end of a scope.
class Watching {
 public:
  Watching(KvLearner*& place, KvLearner& learner) : place_(place) { place_ = &learner; }
  ~Watching() { place_ = nullptr; }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  KvLearner*& place_;
};

class Decoder : public Architecture {
 public:
  Decoder(std::shared_ptr<const GgufFile> file, Tell tell, std::shared_ptr<kernels::Backend> backend, DecoderSpec spec,
          DecoderWeights weights)
      : file_(std::move(file)),
        tell_(std::move(tell)),
        backend_(std::move(backend)),
        spec_(std::move(spec)),
        weights_(std::move(weights)) {}

  const ModelShape& shape() const override { return spec_.shape; }
  kernels::KvBlockBytes kv_block_bytes(std::uint32_t block_tokens, const kernels::KvFormat& format) const override {
    return backend_->kv_block_bytes(kv_geometry(block_tokens, format));
  }
  void allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) override;
  void give_back_kv(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) override {
    backend_->give_back_kv(blocks, windows);
  }
  void copy_kv_block(std::int32_t from, std::int32_t to) override { backend_->copy_kv_block(from, to); }
  void read_kv_block(std::int32_t block, std::span<std::byte> out) const override {
    backend_->read_kv_block(block, out);
  }
  void write_kv_block(std::int32_t block, std::span<const std::byte> bytes) override {
    backend_->write_kv_block(block, bytes);
  }
  std::string numerics(const kernels::KvFormat& format) override;
  void settle() override { file_.reset(); }
  std::span<float> forward(const Batch& batch) override;
  void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) override {
    backend_->run_on_host(n, work);
  }

 private:
  kernels::KvGeometry kv_geometry(std::uint32_t block_tokens, const kernels::KvFormat& format) const {
    return {shape().kv_layers, block_tokens, format};
  }
  /// Whether something is taken from all keys. It costs nothing where the scores go into softmax as they are. Where
  /// keys have biases, which reach into the hundreds, bfloat16 needs it as well.
  bool centres(const kernels::KvFormat& format) const {
    return spec_.score_cap == 0 && (format.quantised() ? format.centre_keys : spec_.qkv_bias);
  }
  /// What the arena does to keys and values. Where that has to be found first, the arena is another one afterwards.
  kernels::KvMaps kv_maps(const kernels::KvFormat& format);
  KvLearning kv_learning() const;
  LearntKvMaps learn(const KvLearning& learning);
  std::uint64_t query_dim() const { return std::uint64_t{shape().n_heads} * shape().head_dim; }
  std::uint64_t kv_dim() const { return std::uint64_t{shape().n_kv_heads} * shape().head_dim; }

  kernels::AttentionShape attention_shape(std::uint32_t layer) const {
    kernels::AttentionShape attention{layer, shape().n_heads, shape().n_kv_heads, shape().head_dim, spec_.rope_dim};
    attention.rope = spec_.layers[layer].rope;
    attention.window = spec_.layers[layer].window;
    attention.scale = spec_.attention_scale;
    attention.cap = spec_.score_cap;
    return attention;
  }
  void make_room(std::uint32_t rows);
  void attend(std::uint32_t layer, const Batch& batch, std::uint32_t rows);
  void feed_forward(const LayerWeights& layer, std::uint32_t rows);
  /// residual += residual_scale * post_norm(delta); normed = the norm of that.
  void add_and_norm(const Buffer* post_norm, const Buffer& norm, std::uint32_t rows);

  std::shared_ptr<const GgufFile> file_;  ///< null: nothing more is needed of it
  Tell tell_;
  std::shared_ptr<kernels::Backend> backend_;
  DecoderSpec spec_;
  DecoderWeights weights_;
  std::optional<LearntKvMaps> learnt_;
  KvLearner* learner_ = nullptr;  ///< sees queries, keys and values as they are computed; null: nobody does

  // Activations, for `room_` rows.
  std::uint32_t room_ = 0;
  std::unique_ptr<Buffer> residual_, normed_, qkv_, attended_, delta_, hidden_, picked_, logits_;
};

void Decoder::allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) {
  const kernels::KvMaps maps = kv_maps(format);
  backend_->allocate_kv(kv_geometry(block_tokens, format), n_blocks, maps);
}

std::string Decoder::numerics(const kernels::KvFormat& format) {
  std::string name = backend_->numerics();
  if (format.quantised() || centres(format)) name += " maps " + digest_of(kv_maps(format));
  return spec_.variant.empty() ? name : name + " " + spec_.variant;
}

kernels::KvMaps Decoder::kv_maps(const kernels::KvFormat& format) {
  if (!format.quantised() && !centres(format)) return {};
  if (!learnt_) {
    const KvLearning learning = kv_learning();
    const auto learn_now = [&] { return learn(learning); };
    learnt_ = file_ != nullptr ? find_kv_maps(*file_, learning, learn_now, tell_) : learn_now();
    file_.reset();
  }
  return maps_of_format(*learnt_, format, centres(format));
}

KvLearning Decoder::kv_learning() const {
  constexpr std::uint32_t kPositions = 4096;  // as many texts have
  KvLearning learning;
  learning.sizes = {shape().n_layers, shape().n_kv_heads, shape().head_dim};
  learning.n_heads = shape().n_heads;
  learning.ropes = weights_.ropes;
  for (const LayerSpec& layer : spec_.layers) learning.layer_ropes.push_back(layer.rope);
  learning.n_positions = std::min(kPositions, shape().context_length);
  learning.centred = spec_.score_cap == 0;
  return learning;
}

/// From tokens that are always the same: what is found belongs to the model.
LearntKvMaps Decoder::learn(const KvLearning& learning) {
  constexpr std::uint32_t kTokens = 256;
  constexpr std::uint32_t kBlockTokens = 32;
  const std::uint32_t n = std::min(kTokens, shape().context_length);
  const std::vector<TokenId> tokens = learning_tokens(file_.get(), shape().vocab_size, n);
  std::vector<std::int32_t> table((n + kBlockTokens - 1) / kBlockTokens);
  std::iota(table.begin(), table.end(), 0);
  backend_->allocate_kv(kv_geometry(kBlockTokens, {}), static_cast<std::uint32_t>(table.size()));
  KvLearner learner(learning, *backend_);
  const Watching watching(learner_, learner);
  const BatchSequence all[] = {{0, n, 0, table}};
  forward({tokens, all, {}});
  return learner.finish();
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
  const kernels::AttentionShape heads = attention_shape(index);
  const LayerWeights& layer = weights_.layers[index];
  {
    const trace::Span span("qkv", rows);
    backend_->linear(*layer.qkv, *normed_, rows, *qkv_);
    if (layer.qkv_bias != nullptr) backend_->add_bias(*qkv_, *layer.qkv_bias, rows);
    if (layer.query_norm != nullptr) {
      backend_->norm_heads(heads, *layer.query_norm, *layer.key_norm, spec_.epsilon, rows, *qkv_);
    }
  }
  if (learner_ != nullptr) learner_->add_layer(backend_->read(*qkv_, rows * (query_dim() + 2 * kv_dim())), rows);
  {
    const trace::Span span("rope_and_store", rows);
    backend_->rope_and_store(heads, batch.sequences, *qkv_);
  }
  {
    const trace::Span span("attention", rows);
    backend_->attention(heads, batch.sequences, *qkv_, *attended_);
  }
  const trace::Span span("attention_out", rows);
  backend_->linear(*layer.attention_out, *attended_, rows, *delta_);
}

void Decoder::add_and_norm(const Buffer* post_norm, const Buffer& norm, std::uint32_t rows) {
  const trace::Span span("add_and_norm", rows);
  if (post_norm != nullptr) backend_->rms_norm(*delta_, *post_norm, spec_.epsilon, rows, *delta_);
  if (spec_.residual_scale != 1) {
    backend_->scale(*delta_, spec_.residual_scale, std::size_t{rows} * shape().embedding_dim);
  }
  backend_->add_rms_norm(*residual_, *delta_, norm, spec_.epsilon, rows, *normed_);
}

void Decoder::feed_forward(const LayerWeights& layer, std::uint32_t rows) {
  {
    const trace::Span span("gate_up", rows);
    backend_->gated_linear(*layer.gate_up, spec_.activation, *normed_, rows, *hidden_);
  }
  const trace::Span span("down", rows);
  backend_->linear(*layer.down, *hidden_, rows, *delta_);
}

std::span<float> Decoder::forward(const Batch& batch) {
  const auto rows = static_cast<std::uint32_t>(batch.tokens.size());
  const trace::Span span("forward", rows);
  make_room(rows);
  backend_->embed(*weights_.embedding, batch.tokens, *residual_);
  if (spec_.embedding_scale != 1) {
    backend_->scale(*residual_, spec_.embedding_scale, std::size_t{rows} * shape().embedding_dim);
  }
  backend_->rms_norm(*residual_, *weights_.layers[0].attention_norm, spec_.epsilon, rows, *normed_);
  for (std::uint32_t i = 0; i < shape().n_layers; ++i) {
    const LayerWeights& layer = weights_.layers[i];
    attend(i, batch, rows);
    add_and_norm(layer.post_attention_norm.get(), *layer.ffn_norm, rows);
    feed_forward(layer, rows);
    const bool last = i + 1 == shape().n_layers;
    const Buffer& next_norm = last ? *weights_.output_norm : *weights_.layers[i + 1].attention_norm;
    add_and_norm(layer.post_ffn_norm.get(), next_norm, rows);
  }
  if (batch.logit_rows.empty()) return {};
  const auto n_logits = static_cast<std::uint32_t>(batch.logit_rows.size());
  const std::size_t wanted = std::size_t{backend_->padded_rows(n_logits)} * shape().vocab_size;
  if (logits_ == nullptr || logits_->size() < wanted) logits_ = backend_->allocate(wanted);
  const trace::Span logits_span("logits", n_logits);
  backend_->gather(*normed_, batch.logit_rows, shape().embedding_dim, *picked_);
  backend_->linear(*weights_.output, *picked_, n_logits, *logits_);
  const std::size_t size = std::size_t{n_logits} * shape().vocab_size;
  if (spec_.logit_scale != 1) backend_->scale(*logits_, spec_.logit_scale, size);
  if (spec_.logit_cap > 0) backend_->soft_cap(*logits_, spec_.logit_cap, size);
  return backend_->read(*logits_, size);
}

}  // namespace

Result<std::unique_ptr<Architecture>> load_decoder(const std::shared_ptr<const GgufFile>& file,
                                                   std::shared_ptr<kernels::Backend> backend, std::uint32_t context,
                                                   Tell tell) {
  auto spec = read_decoder_spec(*file, context);
  if (!spec) return spec.error();
  auto weights = load_weights(*file, *spec, *backend);
  if (!weights) return weights.error();
  return std::unique_ptr<Architecture>(
      std::make_unique<Decoder>(file, std::move(tell), std::move(backend), std::move(*spec), std::move(*weights)));
}

}  // namespace headwater::model
