#include "model/decoder_spec.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <string>

namespace headwater::model {
namespace {

/// Greater values in a file are mistakes: they bound what is computed from them to 64 bits.
constexpr std::uint64_t kMaxDimension = 1U << 20U;
constexpr std::uint64_t kMaxContext = 1U << 24U;
constexpr std::uint64_t kMaxLayers = 1024;

/// The llama family: RMSNorm, rotary embedding, grouped-query attention, SwiGLU. Sources: Touvron et al., "LLaMA: open
/// and efficient foundation language models", 2023; "Qwen2 technical report", 2024.
struct ArchitectureEntry {
  const char* name;               ///< as GGUF files have it
  void (*specify)(DecoderSpec&);  ///< what is so without metadata
};
constexpr ArchitectureEntry kArchitectures[] = {
    {"llama", [](DecoderSpec&) {}},
    {"qwen2",
     [](DecoderSpec& spec) {
       spec.rope.pairs = RopeSpec::Pairs::halves;
       spec.qkv_bias = true;
     }},
};

Result<const ArchitectureEntry*> find_architecture(const GgufFile& file) {
  const auto name = file.get_string("general.architecture");
  if (!name) return name.error();
  std::string known;
  for (const ArchitectureEntry& entry : kArchitectures) {
    if (*name == entry.name) return &entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return file.invalid("unknown architecture \"" + *name + "\" (known: " + known + ")");
}

/// Reads and checks the metadata one after the other; the first mistake is kept.
class Reader {
 public:
  Reader(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  std::uint32_t dimension(const char* name, std::uint64_t most, std::optional<std::uint64_t> fallback = {}) {
    const std::string key = prefix_ + name;
    const auto value = fallback ? file_.get_uint_or(key, *fallback) : file_.get_uint(key);
    if (!value) return fail(value.error());
    if (*value == 0 || *value > most) {
      return fail(file_.invalid("metadata \"" + key + "\" is " + std::to_string(*value) + ", expected 1 … " +
                                std::to_string(most)));
    }
    return static_cast<std::uint32_t>(*value);
  }

  double positive(const char* name, double fallback) {
    const std::string key = prefix_ + name;
    const auto value = file_.get_float_or(key, fallback);
    if (!value) return fail(value.error());
    if (!(*value > 0) || !std::isfinite(*value)) {
      return fail(file_.invalid("metadata \"" + key + "\" is not a number greater than 0"));
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
  std::string prefix_;
  std::optional<Error> error_;
};

}  // namespace

Result<DecoderSpec> read_decoder_spec(const GgufFile& file) {
  const auto architecture = find_architecture(file);
  if (!architecture) return architecture.error();
  const std::string prefix = std::string((*architecture)->name) + ".";
  Reader read(file, prefix);
  DecoderSpec spec;
  ModelShape& shape = spec.shape;
  shape.architecture = (*architecture)->name;
  (*architecture)->specify(spec);
  shape.n_layers = read.dimension("block_count", kMaxLayers);
  shape.context_length = read.dimension("context_length", kMaxContext);
  shape.embedding_dim = read.dimension("embedding_length", kMaxDimension);
  spec.ffn_dim = read.dimension("feed_forward_length", kMaxDimension);
  shape.n_heads = read.dimension("attention.head_count", kMaxDimension);
  shape.n_kv_heads = read.dimension("attention.head_count_kv", kMaxDimension, shape.n_heads);
  shape.head_dim =
      read.dimension("attention.key_length", kMaxDimension, std::max(1U, shape.embedding_dim / shape.n_heads));
  spec.rope.dim = read.dimension("rope.dimension_count", kMaxDimension, shape.head_dim);
  spec.rope.base = read.positive("rope.freq_base", 10000);
  spec.epsilon = static_cast<float>(read.positive("attention.layer_norm_rms_epsilon", 1e-5));
  if (read.error()) return *read.error();

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
  if (spec.rope.dim % 2 != 0 || spec.rope.dim > shape.head_dim) {
    return file.invalid(prefix + "rope.dimension_count is " + std::to_string(spec.rope.dim) +
                        ", expected an even number of at most the head's " + std::to_string(shape.head_dim));
  }
  if (file.find(prefix + "rope.scaling.type") != nullptr) {
    const auto type = file.get_string(prefix + "rope.scaling.type");
    if (!type) return type.error();
    if (*type == "linear") {
      spec.rope.factor = read.positive("rope.scaling.factor", 1);
    } else if (*type != "none") {
      return file.invalid(prefix + "rope.scaling.type is \"" + *type + "\", expected one of none, linear");
    }
  }
  if (read.error()) return *read.error();

  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return file.invalid("tensor \"token_embd.weight\" is missing");
  if (embedding->dims.size() != 2 || embedding->dims[0] != shape.embedding_dim || embedding->dims[1] > kMaxContext) {
    return file.invalid("tensor \"token_embd.weight\" has another shape than [" + std::to_string(shape.embedding_dim) +
                        " x vocabulary]");
  }
  shape.vocab_size = static_cast<std::uint32_t>(embedding->dims[1]);
  for (const GgufTensor& tensor : file.tensors()) {
    shape.parameters += std::accumulate(tensor.dims.begin(), tensor.dims.end(), std::uint64_t{1}, std::multiplies<>());
  }
  return spec;
}

}  // namespace headwater::model
