#include "model/decoder_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

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
  Result<std::unique_ptr<Matrix>> matrix(const MatrixSpec& spec) const;
  /// Vectors one behind the other; those without a name are left out. Null: there are none.
  Result<std::unique_ptr<Buffer>> vectors(const std::vector<TensorRows>& parts) const;
  Result<std::unique_ptr<Buffer>> vector(const TensorRows& part) const { return vectors({part}); }
  /// A part as the matrices here have it.
  HostTensor in_order(const HostTensor& tensor, const TensorRows& part, std::size_t place) const;
  /// The values of a vector; of heads that turn, in the order in which matrices have them.
  Result<std::vector<float>> values(const TensorRows& part) const;
  Result<void> load_vectors(std::uint32_t index, LayerWeights& layer) const;
  Result<void> load_ropes();
  Result<void> load_layer(std::uint32_t index);

  const GgufFile& file_;
  const DecoderSpec& spec_;
  kernels::Backend& backend_;
  mutable std::array<TensorRoom, 3> rooms_, ordered_;  ///< for the parts of a matrix
  DecoderWeights weights_;
};

HostTensor WeightLoader::in_order(const HostTensor& tensor, const TensorRows& part, std::size_t place) const {
  if (!part.turns || spec_.pairs == DecoderSpec::Pairs::neighbours) return tensor;
  return pair_up(tensor, spec_.shape.head_dim, spec_.rope_dim, ordered_.at(place));
}

Result<std::unique_ptr<Matrix>> WeightLoader::matrix(const MatrixSpec& spec) const {
  std::vector<HostTensor> tensors;
  HostTensor whole;
  for (std::size_t i = 0; i < spec.parts.size(); ++i) {
    const TensorRows& part = spec.parts[i];
    if (i == 0 || part.name != spec.parts[i - 1].name) {
      const std::uint64_t dims[] = {spec.cols, part.tensor_rows()};
      auto read = file_.tensor(part.name, dims, rooms_.at(i));
      if (!read) return read.error();
      whole = *read;
    }
    const std::size_t first = part.first_row * kernels::row_bytes(whole.type, spec.cols);
    tensors.push_back(in_order({whole.data + first, whole.type, part.rows, spec.cols}, part, i));
  }
  return backend_.load_matrix(tensors, spec.use);
}

Result<std::vector<float>> WeightLoader::values(const TensorRows& part) const {
  const std::uint64_t dims[] = {part.rows};
  auto given = file_.tensor(part.name, dims, rooms_[0]);
  if (!given) return given.error();
  std::vector<float> numbers(part.rows);
  kernels::dequantize_row(*given, 0, numbers);
  const HostTensor column{reinterpret_cast<const std::byte*>(numbers.data()), kernels::DType::f32, part.rows, 1};
  const HostTensor ordered = in_order(column, part, 0);
  const auto* const first = reinterpret_cast<const float*>(ordered.data);
  return std::vector<float>(first, first + part.rows);
}

Result<std::unique_ptr<Buffer>> WeightLoader::vectors(const std::vector<TensorRows>& parts) const {
  std::vector<float> all;
  for (const TensorRows& part : parts) {
    if (part.name.empty()) continue;
    const auto numbers = values(part);
    if (!numbers) return numbers.error();
    all.insert(all.end(), numbers->begin(), numbers->end());
  }
  if (all.empty()) return std::unique_ptr<Buffer>();
  return backend_.load_vector({reinterpret_cast<const std::byte*>(all.data()), kernels::DType::f32, 1, all.size()});
}

Result<void> WeightLoader::load_vectors(std::uint32_t index, LayerWeights& layer) const {
  const LayerVectors given = layer_vectors(spec_, index);
  if (auto kept = keep(vector(given.attention_norm), layer.attention_norm); !kept) return kept;
  if (auto kept = keep(vector(given.ffn_norm), layer.ffn_norm); !kept) return kept;
  if (auto kept = keep(vector(given.post_attention_norm), layer.post_attention_norm); !kept) return kept;
  if (auto kept = keep(vector(given.post_ffn_norm), layer.post_ffn_norm); !kept) return kept;
  if (auto kept = keep(vector(given.query_norm), layer.query_norm); !kept) return kept;
  if (auto kept = keep(vector(given.key_norm), layer.key_norm); !kept) return kept;
  return keep(vectors(given.qkv_bias), layer.qkv_bias);
}

Result<void> WeightLoader::load_layer(std::uint32_t index) {
  const LayerMatrices matrices = layer_matrices(spec_, index);
  LayerWeights layer;
  if (auto loaded = load_vectors(index, layer); !loaded) return loaded;
  if (auto kept = keep(matrix(matrices.qkv), layer.qkv); !kept) return kept;
  if (auto kept = keep(matrix(matrices.attention_out), layer.attention_out); !kept) return kept;
  if (auto kept = keep(matrix(matrices.gate_up), layer.gate_up); !kept) return kept;
  if (auto kept = keep(matrix(matrices.down), layer.down); !kept) return kept;
  weights_.layers.push_back(std::move(layer));
  return {};
}

Result<void> WeightLoader::load_ropes() {
  for (std::uint32_t i = 0; i < spec_.ropes.size(); ++i) {
    const RopeSpec& rope = spec_.ropes[i];
    std::vector<float> factors;
    if (!rope.factors.empty()) {
      auto given = values(rope_factors(spec_, rope));
      if (!given) return given.error();
      factors = std::move(*given);
    }
    std::vector<float> frequencies = inverse_frequencies(rope, spec_.rope_dim, factors);
    if (!std::ranges::all_of(frequencies, [](float x) { return x > 0 && std::isfinite(x); })) {
      const std::string where = rope.factors.empty() ? "the rotary frequencies" : "tensor \"" + rope.factors + "\"";
      return file_.invalid(where + " would turn heads by what is no number, expected factors greater than 0");
    }
    backend_.set_rope(i, frequencies, rope.magnitude);
    weights_.ropes.push_back({std::move(frequencies), rope.magnitude});
  }
  return {};
}

Result<DecoderWeights> WeightLoader::load() {
  const std::uint64_t dims[] = {spec_.shape.embedding_dim, spec_.shape.vocab_size};
  if (auto kept = keep(matrix(output_matrix(spec_, file_)), weights_.output); !kept) return kept.error();
  const auto table = file_.tensor("token_embd.weight", dims, rooms_[0]);
  if (!table) return table.error();
  weights_.embedding = backend_.load_table(*table, is_tied(file_) ? weights_.output.get() : nullptr);
  rooms_ = {};  // what follows needs far less
  if (auto kept = keep(vector(output_norm(spec_)), weights_.output_norm); !kept) return kept.error();
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
