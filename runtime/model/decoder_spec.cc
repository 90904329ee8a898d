#include "model/decoder_spec.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>

#include "model/architectures/architectures.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

struct ArchitectureEntry {
  const char* name;  ///< as GGUF files have it
  void (*specify)(SpecReader& read, DecoderSpec& spec);
};
constexpr ArchitectureEntry kArchitectures[] = {
    {"llama", specify_llama},         {"qwen2", specify_qwen2},     {"qwen3", specify_qwen3},
    {"gemma2", specify_gemma2},       {"gemma3", specify_gemma3},   {"phi3", specify_phi3},
    {"internlm2", specify_internlm2}, {"granite", specify_granite},
};

Result<const ArchitectureEntry*> find_architecture(const GgufFile& file) {
  const auto name = file.get_string("general.architecture");
  if (!name) return name.error();
  std::string known;
  for (const ArchitectureEntry& entry : kArchitectures) {
    if (*name == entry.name) return &entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return file.invalid("unknown architecture \"" + printable(*name) + "\" (known: " + known + ")");
}

/// What every architecture has, under the same names.
void read_common(SpecReader& read, DecoderSpec& spec) {
  ModelShape& shape = spec.shape;
  shape.n_layers = read.dimension("block_count", kMaxLayers);
  shape.context_length = read.dimension("context_length", kMaxContext);
  shape.embedding_dim = read.dimension("embedding_length", kMaxDimension);
  spec.ffn_dim = read.dimension("feed_forward_length", kMaxDimension);
  shape.n_heads = read.dimension("attention.head_count", kMaxDimension);
  shape.n_kv_heads = read.dimension("attention.head_count_kv", kMaxDimension, shape.n_heads);
  shape.head_dim =
      read.dimension("attention.key_length", kMaxDimension, std::max(1U, shape.embedding_dim / shape.n_heads));
  spec.rope_dim = read.dimension("rope.dimension_count", kMaxDimension, shape.head_dim);
  spec.ropes[0].base = read.positive("rope.freq_base", 10000);
  spec.epsilon = static_cast<float>(read.positive("attention.layer_norm_rms_epsilon", 1e-5));
  spec.layers.resize(shape.n_layers);
}

/// Whether the dimensions of heads fit together.
Result<void> check_heads(const GgufFile& file, const std::string& prefix, const DecoderSpec& spec) {
  const ModelShape& shape = spec.shape;
  if (shape.n_heads % shape.n_kv_heads != 0) {
    return file.invalid(prefix + "attention.head_count is " + std::to_string(shape.n_heads) +
                        ", expected a multiple of " + prefix + "attention.head_count_kv, " +
                        std::to_string(shape.n_kv_heads));
  }
  const auto value_length = file.get_uint_or(prefix + "attention.value_length", shape.head_dim);
  if (!value_length) return value_length.error();
  if (*value_length != shape.head_dim) {
    return file.invalid(prefix + "attention.value_length differs from key_length, expected the same");
  }
  const std::uint64_t heads_dim = std::uint64_t{shape.n_heads} * shape.head_dim;
  if (heads_dim > kMaxDimension ||
      (file.find(prefix + "attention.key_length") == nullptr && heads_dim != shape.embedding_dim)) {
    return file.invalid(prefix + "attention.head_count is " + std::to_string(shape.n_heads) +
                        ", expected a divisor of " + prefix + "embedding_length, " +
                        std::to_string(shape.embedding_dim));
  }
  if (spec.rope_dim % 2 != 0 || spec.rope_dim > shape.head_dim) {
    return file.invalid(prefix + "rope.dimension_count is " + std::to_string(spec.rope_dim) +
                        ", expected an even number of at most the head's " + std::to_string(shape.head_dim));
  }
  return {};
}

}  // namespace

Result<DecoderSpec> read_decoder_spec(const GgufFile& file, std::uint32_t context) {
  const auto architecture = find_architecture(file);
  if (!architecture) return architecture.error();
  DecoderSpec spec;
  ModelShape& shape = spec.shape;
  shape.architecture = (*architecture)->name;
  SpecReader read(file, shape.architecture, context);
  read_common(read, spec);
  if (read.error()) return *read.error();
  if (auto fits = check_heads(file, shape.architecture + ".", spec); !fits) return fits.error();
  (*architecture)->specify(read, spec);
  if (read.error()) return *read.error();

  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return file.invalid("tensor \"token_embd.weight\" is missing");
  if (embedding->dims.size() != 2 || embedding->dims[0] != shape.embedding_dim || embedding->dims[1] > kMaxContext) {
    return file.invalid("tensor \"token_embd.weight\" has another shape than [" + std::to_string(shape.embedding_dim) +
                        " x vocabulary]");
  }
  shape.vocab_size = static_cast<std::uint32_t>(embedding->dims[1]);
  for (const LayerSpec& layer : spec.layers) {
    shape.kv_layers.push_back({shape.n_kv_heads, shape.head_dim, layer.window > 0});
    shape.kv_window = std::max(shape.kv_window, layer.window);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    shape.parameters += std::accumulate(tensor.dims.begin(), tensor.dims.end(), std::uint64_t{1}, std::multiplies<>());
  }
  return spec;
}

}  // namespace headwater::model
