#include "model/decoder_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <string>

#include "model/decoder_tensors.h"

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

HostTensor as_row(const std::vector<float>& values) {
  return {reinterpret_cast<const std::byte*>(values.data()), kernels::DType::f32, 1, values.size()};
}

/// Takes what a result holds to its place, or gives its error.
template <class T>
Result<void> keep(Result<std::unique_ptr<T>> result, std::unique_ptr<T>& place) {
  if (!result) return result.error();
  place = std::move(*result);
  return {};
}

class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, const DecoderSpec& spec, kernels::Backend& backend)
      : file_(file), spec_(spec), backend_(backend) {}

  Result<DecoderWeights> load();

 private:
  using LoadMatrix = std::unique_ptr<Matrix> (kernels::Backend::*)(std::span<const HostTensor>);
  Result<std::unique_ptr<Matrix>> matrix(const MatrixSpec& spec,
                                         LoadMatrix load = &kernels::Backend::load_matrix) const;
  /// The biases of queries, keys and values, one behind the other.
  Result<std::unique_ptr<Buffer>> qkv_bias(std::uint32_t layer) const;
  /// A part as the matrices here have it.
  HostTensor in_order(const HostTensor& tensor, const TensorRows& part, std::size_t place) const;
  Result<std::unique_ptr<Buffer>> vector(const std::string& name, std::uint64_t size) const;
  /// The values of a vector, as a head that turns has them.
  Result<std::vector<float>> turned_vector(const TensorRows& part) const;
  Result<std::unique_ptr<Buffer>> head_norm(const std::string& name) const;
  /// Error: the file has a tensor of a layer that nothing has asked for, so the architecture is not what it says.
  Result<void> check_all_used(const std::string& prefix) const;
  Result<void> load_norms(const std::string& prefix, LayerWeights& layer) const;
  Result<HostTensor> tensor(const std::string& name, std::span<const std::uint64_t> dims, TensorRoom& room) const {
    used_.insert(name);
    return file_.tensor(name, dims, room);
  }
  Result<void> load_ropes();
  Result<void> load_layer(std::uint32_t index);

  const GgufFile& file_;
  const DecoderSpec& spec_;
  kernels::Backend& backend_;
  mutable std::array<TensorRoom, 3> rooms_, ordered_;  ///< for the parts of a matrix
  mutable std::set<std::string> used_;                 ///< names of tensors
  DecoderWeights weights_;
};

HostTensor WeightLoader::in_order(const HostTensor& tensor, const TensorRows& part, std::size_t place) const {
  if (!part.turns || spec_.pairs == DecoderSpec::Pairs::neighbours) return tensor;
  return pair_up(tensor, spec_.shape.head_dim, spec_.rope_dim, ordered_.at(place));
}

Result<std::unique_ptr<Matrix>> WeightLoader::matrix(const MatrixSpec& spec, LoadMatrix load) const {
  std::vector<HostTensor> tensors;
  HostTensor whole;
  for (std::size_t i = 0; i < spec.parts.size(); ++i) {
    const TensorRows& part = spec.parts[i];
    if (i == 0 || part.name != spec.parts[i - 1].name) {
      const std::uint64_t dims[] = {spec.cols, part.tensor_rows()};
      auto read = tensor(part.name, dims, rooms_.at(i));
      if (!read) return read.error();
      whole = *read;
    }
    const std::size_t first = part.first_row * kernels::row_bytes(whole.type, spec.cols);
    tensors.push_back(in_order({whole.data + first, whole.type, part.rows, spec.cols}, part, i));
  }
  return (backend_.*load)(tensors);
}

Result<std::vector<float>> WeightLoader::turned_vector(const TensorRows& part) const {
  const std::uint64_t dims[] = {part.rows};
  auto given = tensor(part.name, dims, rooms_[0]);
  if (!given) return given.error();
  std::vector<float> values(part.rows);
  kernels::dequantize_row(*given, 0, values);
  const HostTensor column{reinterpret_cast<const std::byte*>(values.data()), kernels::DType::f32, part.rows, 1};
  const HostTensor ordered = in_order(column, part, 0);
  const auto* const first = reinterpret_cast<const float*>(ordered.data);
  return std::vector<float>(first, first + part.rows);
}

Result<std::unique_ptr<Buffer>> WeightLoader::qkv_bias(std::uint32_t layer) const {
  std::vector<float> biases;
  for (const TensorRows& part : qkv_biases(spec_, layer)) {
    const auto values = turned_vector(part);
    if (!values) return values.error();
    biases.insert(biases.end(), values->begin(), values->end());
  }
  return backend_.load_vector(as_row(biases));
}

Result<std::unique_ptr<Buffer>> WeightLoader::head_norm(const std::string& name) const {
  const auto values = turned_vector({name, spec_.shape.head_dim, true});
  if (!values) return values.error();
  return backend_.load_vector(as_row(*values));
}

Result<std::unique_ptr<Buffer>> WeightLoader::vector(const std::string& name, std::uint64_t size) const {
  const std::uint64_t dims[] = {size};
  const auto given = tensor(name, dims, rooms_[0]);
  if (!given) return given.error();
  return backend_.load_vector(*given);
}

Result<void> WeightLoader::check_all_used(const std::string& prefix) const {
  for (const GgufTensor& given : file_.tensors()) {
    if (!given.name.starts_with(prefix) || used_.contains(given.name)) continue;
    return file_.invalid("tensor \"" + given.name + "\" is there, expected a " + spec_.shape.architecture +
                         " model without it");
  }
  return {};
}

Result<void> WeightLoader::load_norms(const std::string& prefix, LayerWeights& layer) const {
  const std::uint64_t dim = spec_.shape.embedding_dim;
  if (auto kept = keep(vector(prefix + "attn_norm.weight", dim), layer.attention_norm); !kept) return kept;
  if (auto kept = keep(vector(prefix + "ffn_norm.weight", dim), layer.ffn_norm); !kept) return kept;
  if (spec_.post_norms) {
    const auto post = [&](const char* name, auto& place) { return keep(vector(prefix + name, dim), place); };
    if (auto kept = post("post_attention_norm.weight", layer.post_attention_norm); !kept) return kept;
    if (auto kept = post("post_ffw_norm.weight", layer.post_ffn_norm); !kept) return kept;
  }
  if (spec_.qk_norm) {
    if (auto kept = keep(head_norm(prefix + "attn_q_norm.weight"), layer.query_norm); !kept) return kept;
    if (auto kept = keep(head_norm(prefix + "attn_k_norm.weight"), layer.key_norm); !kept) return kept;
  }
  return {};
}

Result<void> WeightLoader::load_layer(std::uint32_t index) {
  const std::string prefix = layer_prefix(index);
  const LayerMatrices matrices = layer_matrices(spec_, index);
  LayerWeights layer;
  if (auto loaded = load_norms(prefix, layer); !loaded) return loaded;
  if (spec_.qkv_bias) {
    if (auto kept = keep(qkv_bias(index), layer.qkv_bias); !kept) return kept;
  }
  if (auto kept = keep(matrix(matrices.qkv), layer.qkv); !kept) return kept;
  if (auto kept = keep(matrix(matrices.attention_out), layer.attention_out); !kept) return kept;
  const LoadMatrix gated = &kernels::Backend::load_gated_matrix;
  if (auto kept = keep(matrix(matrices.gate_up, gated), layer.gate_up); !kept) return kept;
  if (auto kept = keep(matrix(matrices.down), layer.down); !kept) return kept;
  if (auto all = check_all_used(prefix); !all) return all;
  weights_.layers.push_back(std::move(layer));
  return {};
}

Result<void> WeightLoader::load_ropes() {
  for (std::uint32_t i = 0; i < spec_.ropes.size(); ++i) {
    const RopeSpec& rope = spec_.ropes[i];
    std::vector<float> factors;
    if (!rope.factors.empty()) {
      factors.resize(spec_.rope_dim / 2);
      const std::uint64_t dims[] = {factors.size()};
      const auto given = tensor(rope.factors, dims, rooms_[0]);
      if (!given) return given.error();
      kernels::dequantize_row(*given, 0, factors);
    }
    const std::vector<float> frequencies = inverse_frequencies(rope, spec_.rope_dim, factors);
    if (!std::ranges::all_of(frequencies, [](float x) { return x > 0 && std::isfinite(x); })) {
      const std::string where = rope.factors.empty() ? "the rotary frequencies" : "tensor \"" + rope.factors + "\"";
      return file_.invalid(where + " would turn heads by what is no number, expected factors greater than 0");
    }
    backend_.set_rope(i, frequencies, rope.magnitude);
  }
  return {};
}

Result<DecoderWeights> WeightLoader::load() {
  const std::uint64_t dim = spec_.shape.embedding_dim;
  const std::uint64_t dims[] = {dim, spec_.shape.vocab_size};
  const MatrixSpec output = output_matrix(spec_, file_);
  const bool tied = output.parts[0].name == "token_embd.weight";
  if (auto kept = keep(matrix(output), weights_.output); !kept) return kept.error();
  const auto table = tensor("token_embd.weight", dims, rooms_[0]);
  if (!table) return table.error();
  weights_.embedding = backend_.load_table(*table, tied ? weights_.output.get() : nullptr);
  rooms_ = {};  // what follows needs far less
  if (auto kept = keep(vector("output_norm.weight", dim), weights_.output_norm); !kept) return kept.error();
  for (std::uint32_t i = 0; i < spec_.shape.n_layers; ++i) {
    if (auto loaded = load_layer(i); !loaded) return loaded.error();
  }
  if (auto loaded = load_ropes(); !loaded) return loaded.error();
  return std::move(weights_);
}

}  // namespace

Result<DecoderWeights> load_weights(const GgufFile& file, const DecoderSpec& spec, kernels::Backend& backend) {
  return WeightLoader(file, spec, backend).load();
}

}  // namespace headwater::model
