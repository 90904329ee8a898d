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

/// "blk.3."
std::string layer_prefix(std::uint32_t layer) { return "blk." + std::to_string(layer) + "."; }

}  // namespace

LayerMatrices layer_matrices(const DecoderSpec& spec, std::uint32_t layer) {
  const std::string prefix = layer_prefix(layer);
  const std::uint64_t dim = spec.shape.embedding_dim;
  const std::uint64_t hidden = spec.ffn_dim;
  std::vector<TensorRows> gate_up = {{prefix + "ffn_gate.weight", hidden}, {prefix + "ffn_up.weight", hidden}};
  if (spec.fused_gate_up) gate_up = {{prefix + "ffn_up.weight", 2 * hidden}};
  using Role = kernels::MatrixRole;
  const bool outermost = layer == 0 || layer + 1 == spec.shape.n_layers;
  const auto use = [&](Role role) { return kernels::MatrixUse{role, spec.activation, outermost}; };
  return {{use(Role::qkv), qkv_rows(spec, prefix, "weight"), dim},
          {use(Role::attention_out), {{prefix + "attn_output.weight", dim}}, query_dim(spec.shape)},
          {use(Role::gate_up), std::move(gate_up), dim},
          {use(Role::down), {{prefix + "ffn_down.weight", dim}}, hidden}};
}

LayerVectors layer_vectors(const DecoderSpec& spec, std::uint32_t layer) {
  const std::string prefix = layer_prefix(layer);
  const std::uint64_t dim = spec.shape.embedding_dim;
  LayerVectors vectors;
  vectors.attention_norm = {prefix + "attn_norm.weight", dim};
  vectors.ffn_norm = {prefix + "ffn_norm.weight", dim};
  if (spec.post_norms) {
    vectors.post_attention_norm = {prefix + "post_attention_norm.weight", dim};
    vectors.post_ffn_norm = {prefix + "post_ffw_norm.weight", dim};
  }
  if (spec.qk_norm) {
    vectors.query_norm = {prefix + "attn_q_norm.weight", spec.shape.head_dim, true};
    vectors.key_norm = {prefix + "attn_k_norm.weight", spec.shape.head_dim, true};
  }
  if (spec.qkv_bias) vectors.qkv_bias = qkv_rows(spec, prefix, "bias");
  return vectors;
}

TensorRows output_norm(const DecoderSpec& spec) { return {"output_norm.weight", spec.shape.embedding_dim}; }

TensorRows rope_factors(const DecoderSpec& spec, const RopeSpec& rope) { return {rope.factors, spec.rope_dim / 2}; }

std::vector<TensorRows> all_vectors(const DecoderSpec& spec) {
  std::vector<TensorRows> all = {output_norm(spec)};
  for (const RopeSpec& rope : spec.ropes) all.push_back(rope_factors(spec, rope));
  for (std::uint32_t i = 0; i < spec.shape.n_layers; ++i) {
    const LayerVectors layer = layer_vectors(spec, i);
    all.insert(all.end(), {layer.attention_norm, layer.ffn_norm, layer.post_attention_norm, layer.post_ffn_norm,
                           layer.query_norm, layer.key_norm});
    all.insert(all.end(), layer.qkv_bias.begin(), layer.qkv_bias.end());
  }
  std::erase_if(all, [](const TensorRows& vector) { return vector.name.empty(); });
  return all;
}

bool is_tied(const GgufFile& file) { return file.find_tensor("output.weight") == nullptr; }

MatrixSpec output_matrix(const DecoderSpec& spec, const GgufFile& file) {
  const char* name = is_tied(file) ? "token_embd.weight" : "output.weight";
  return {{kernels::MatrixRole::output, spec.activation}, {{name, spec.shape.vocab_size}}, spec.shape.embedding_dim};
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
