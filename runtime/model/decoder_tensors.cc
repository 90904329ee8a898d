#include "model/decoder_tensors.h"

namespace headwater::model {
namespace {

std::uint64_t query_dim(const ModelShape& shape) { return std::uint64_t{shape.n_heads} * shape.head_dim; }
std::uint64_t kv_dim(const ModelShape& shape) { return std::uint64_t{shape.n_kv_heads} * shape.head_dim; }

std::vector<TensorRows> qkv_rows(const DecoderSpec& spec, const std::string& prefix, const char* kind) {
  const std::uint64_t queries = query_dim(spec.shape);
  const std::uint64_t keys = kv_dim(spec.shape);
  if (!spec.fused_qkv) {
    return {{prefix + "attn_q." + kind, queries, true},
            {prefix + "attn_k." + kind, keys, true},
            {prefix + "attn_v." + kind, keys}};
  }
  const std::string name = prefix + "attn_qkv." + kind;
  const std::uint64_t all = queries + 2 * keys;
  return {{name, queries, true, 0, all}, {name, keys, true, queries, all}, {name, keys, false, queries + keys, all}};
}

}  // namespace

std::string layer_prefix(std::uint32_t layer) { return "blk." + std::to_string(layer) + "."; }

LayerMatrices layer_matrices(const DecoderSpec& spec, std::uint32_t layer) {
  const std::string prefix = layer_prefix(layer);
  const std::uint64_t dim = spec.shape.embedding_dim;
  const std::uint64_t hidden = spec.ffn_dim;
  std::vector<TensorRows> gate_up = {{prefix + "ffn_gate.weight", hidden}, {prefix + "ffn_up.weight", hidden}};
  if (spec.fused_gate_up) gate_up = {{prefix + "ffn_up.weight", 2 * hidden}};
  return {{qkv_rows(spec, prefix, "weight"), dim},
          {{{prefix + "attn_output.weight", dim}}, query_dim(spec.shape)},
          {std::move(gate_up), dim},
          {{{prefix + "ffn_down.weight", dim}}, hidden}};
}

std::vector<TensorRows> qkv_biases(const DecoderSpec& spec, std::uint32_t layer) {
  return qkv_rows(spec, layer_prefix(layer), "bias");
}

std::vector<TensorRows> all_vectors(const DecoderSpec& spec) {
  const std::uint64_t dim = spec.shape.embedding_dim;
  std::vector<TensorRows> all = {{"output_norm.weight", dim}};
  for (const RopeSpec& rope : spec.ropes) {
    if (!rope.factors.empty()) all.push_back({rope.factors, spec.rope_dim / 2});
  }
  for (std::uint32_t i = 0; i < spec.shape.n_layers; ++i) {
    const std::string prefix = layer_prefix(i);
    all.push_back({prefix + "attn_norm.weight", dim});
    all.push_back({prefix + "ffn_norm.weight", dim});
    if (spec.post_norms) {
      all.push_back({prefix + "post_attention_norm.weight", dim});
      all.push_back({prefix + "post_ffw_norm.weight", dim});
    }
    if (spec.qk_norm) {
      all.push_back({prefix + "attn_q_norm.weight", spec.shape.head_dim});
      all.push_back({prefix + "attn_k_norm.weight", spec.shape.head_dim});
    }
    if (!spec.qkv_bias) continue;
    for (TensorRows& bias : qkv_biases(spec, i)) all.push_back(std::move(bias));
  }
  return all;
}

MatrixSpec output_matrix(const DecoderSpec& spec, const GgufFile& file) {
  const bool tied = file.find_tensor("output.weight") == nullptr;
  return {{{tied ? "token_embd.weight" : "output.weight", spec.shape.vocab_size}}, spec.shape.embedding_dim};
}

std::vector<kernels::HostTensor> typed_parts(const GgufFile& file, const MatrixSpec& matrix) {
  std::vector<kernels::HostTensor> typed;
  for (const TensorRows& part : matrix.parts) {
    const GgufTensor* tensor = file.find_tensor(part.name);
    if (tensor == nullptr) return {};
    typed.push_back({nullptr, tensor->type, part.rows, matrix.cols});
  }
  return typed;
}

}  // namespace headwater::model
