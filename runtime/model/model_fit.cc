#include "model/model_fit.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "model/architecture.h"
#include "model/decoder_spec.h"
#include "model/decoder_tensors.h"
#include "model/info_lines.h"
#include "model/model_info.h"
#include "model/tokenizer.h"

namespace headwater::model {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
constexpr std::uint32_t kUsualContext = 4096;

/// Bytes of a block's keys and values in a format. 0: the format cannot hold the model's heads.
std::uint64_t block_bytes(const ModelShape& shape, const kernels::Backend& backend, const kernels::KvFormat& format) {
  try {
    return backend.kv_block_bytes({shape.kv_layers, kBlockTokens, format}).total();
  } catch (const std::invalid_argument&) {
    return 0;
  }
}

/// A table of the cache's formats.
void add_memory(const ModelShape& shape, std::uint64_t weights, const kernels::Backend& backend,
                const FitQuestion& question, InfoLines& lines) {
  lines.add("weights", readable_bytes(weights) + " at most, while they are loaded");
  lines.add("KV cache", "of " + with_commas(question.sequences) +
                            (question.sequences == 1 ? " sequence of " : " sequences of ") +
                            with_commas(question.context) + " tokens");
  const std::uint64_t blocks =
      std::uint64_t{question.sequences} * ((question.context + kBlockTokens - 1) / kBlockTokens);
  for (const auto& [policy, bits] : std::initializer_list<std::pair<const char*, const char*>>{
           {"0", "16 bits"}, {"8", "8 bits"}, {"k8v4", "8 and 4 bits"}, {"4", "4 bits"}}) {
    const auto format = kernels::parse_quant_policy(policy);
    const std::uint64_t bytes = format ? block_bytes(shape, backend, *format) : 0;
    std::string value = std::string(bits) + ": ";
    if (bytes > 0) {
      value += with_commas(bytes / kBlockTokens) + " bytes a token, " + readable_bytes(bytes * blocks) +
               ", with the weights " + readable_bytes(bytes * blocks + weights);
    } else {
      value += "cannot hold this model's heads";
    }
    lines.add("  " + std::string(policy), value);
  }
}

/// A matrix of the model, and what it is called in all layers.
struct NamedMatrix {
  const char* kind;
  MatrixSpec matrix;
};

std::vector<NamedMatrix> all_matrices(const GgufFile& file, const DecoderSpec& spec) {
  std::vector<NamedMatrix> all;
  for (std::uint32_t i = 0; i < spec.shape.n_layers; ++i) {
    LayerMatrices layer = layer_matrices(spec, i);
    all.push_back({"attn_qkv", std::move(layer.qkv)});
    all.push_back({"attn_output", std::move(layer.attention_out)});
    all.push_back({"ffn_gate_up", std::move(layer.gate_up)});
    all.push_back({"ffn_down", std::move(layer.down)});
  }
  all.push_back({"output", output_matrix(spec, file)});
  return all;
}

/// Each kind of matrix with what its products run on, and in how many layers.
void add_matrices(const GgufFile& file, const DecoderSpec& spec, const kernels::Backend& backend, InfoLines& lines) {
  std::map<std::string, std::map<std::string, std::size_t>> paths;
  for (const auto& [kind, matrix] : all_matrices(file, spec)) {
    ++paths[kind][backend.matrix_path(typed_parts(file, matrix))];
  }
  lines.add("products", "by kind of matrix");
  for (const auto& [kind, counts] : paths) {
    std::string value;
    for (const auto& [path, n] : counts) value += (value.empty() ? "" : "; ") + path + " x " + std::to_string(n);
    lines.add("  " + kind, value);
  }
}

/// Error: the file lacks a tensor, or has it in another shape.
Result<void> check_tensor(const GgufFile& file, const std::string& name, const std::vector<std::uint64_t>& dims) {
  const auto shape = [](const std::vector<std::uint64_t>& sizes) {
    std::string text;
    for (const std::uint64_t size : sizes) text += (text.empty() ? "[" : " x ") + std::to_string(size);
    return text + "]";
  };
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return file.invalid("tensor \"" + name + "\" is missing, expected shape " + shape(dims));
  if (tensor->dims == dims) return {};
  return file.invalid("tensor \"" + name + "\" has shape " + shape(tensor->dims) + ", expected " + shape(dims));
}

/// Error: a tensor that the model needs is missing or has another shape.
Result<void> check_tensors(const GgufFile& file, const DecoderSpec& spec) {
  for (const auto& [kind, matrix] : all_matrices(file, spec)) {
    for (const TensorRows& part : matrix.parts) {
      if (auto fits = check_tensor(file, part.name, {matrix.cols, part.tensor_rows()}); !fits) return fits;
    }
  }
  for (const TensorRows& vector : all_vectors(spec)) {
    if (auto fits = check_tensor(file, vector.name, {vector.tensor_rows()}); !fits) return fits;
  }
  return {};
}

}  // namespace

Result<void> check_served(const GgufFile& file) {
  const auto spec = read_decoder_spec(file);
  if (!spec) return spec.error();
  const auto tokenizer = Tokenizer::load(file);
  if (!tokenizer) return tokenizer.error();
  if ((*tokenizer)->vocab_size() != spec->shape.vocab_size) {
    return file.invalid("the vocabulary has " + std::to_string((*tokenizer)->vocab_size()) +
                        " tokens and the embedding " + std::to_string(spec->shape.vocab_size) +
                        " rows, expected as many");
  }
  return check_tensors(file, *spec);
}

std::vector<std::string> fallbacks(const GgufFile& file, const kernels::Backend& backend) {
  std::vector<std::string> found;
  const auto spec = read_decoder_spec(file);
  if (!spec) return found;
  for (const auto& [kind, matrix] : all_matrices(file, *spec)) {
    const std::string path = backend.matrix_path(typed_parts(file, matrix));
    if (path.find(", since ") == std::string::npos) continue;
    std::string names;
    for (const TensorRows& part : matrix.parts) {
      if (names.find(part.name) == std::string::npos) names += (names.empty() ? "" : " + ") + part.name;
    }
    found.push_back(names + ": in " + path);
  }
  return found;
}

Result<std::string> describe_fit(const GgufFile& file, const kernels::Backend& backend, const FitQuestion& question) {
  if (auto served = check_served(file); !served) return served.error();
  const auto spec = read_decoder_spec(file);
  if (!spec) return spec.error();
  const ModelShape& shape = spec->shape;
  FitQuestion asked = question;
  if (asked.context == 0) asked.context = std::min(shape.context_length, kUsualContext);
  if (asked.context > shape.context_length) {
    return Error{
        ErrorCode::invalid_window,
        "--context " + std::to_string(asked.context) + " is beyond the model's " + std::to_string(shape.context_length),
        ""};
  }
  InfoLines lines;
  add_memory(shape, Architecture::weight_bytes(file, backend), backend, asked, lines);
  add_matrices(file, *spec, backend, lines);
  return std::move(lines).text();
}

}  // namespace headwater::model
