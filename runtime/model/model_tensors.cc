#include "model/model_tensors.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "model/utf8.h"

namespace headwater::model {
namespace {

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

/// Of two ways to scale positions the context decides for one, and the other is left out.
bool is_other_way(const DecoderSpec& spec, std::string_view name) {
  return spec.shape.architecture == "phi3" &&
         (name == "rope_factors_long.weight" || name == "rope_factors_short.weight");
}

}  // namespace

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

Result<void> check_tensors(const GgufFile& file, const DecoderSpec& spec) {
  std::set<std::string, std::less<>> used = {"token_embd.weight"};
  for (const auto& [kind, matrix] : all_matrices(file, spec)) {
    for (const TensorRows& part : matrix.parts) {
      if (auto fits = check_tensor(file, part.name, {matrix.cols, part.tensor_rows()}); !fits) return fits;
      used.insert(part.name);
    }
  }
  for (const TensorRows& vector : all_vectors(spec)) {
    if (auto fits = check_tensor(file, vector.name, {vector.tensor_rows()}); !fits) return fits;
    used.insert(vector.name);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (used.contains(tensor.name) || is_other_way(spec, tensor.name)) continue;
    return file.invalid("tensor \"" + printable(tensor.name) + "\" is there, expected a " + spec.shape.architecture +
                        " model without it");
  }
  return {};
}

}  // namespace headwater::model
