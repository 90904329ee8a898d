#pragma once
// Which tensors of a model's file make which matrices of a decoder.

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "model/decoder_spec.h"
#include "model/gguf.h"

namespace headwater::model {

/// Rows of a tensor.
struct TensorRows {
  std::string name;
  std::uint64_t rows = 0;
  bool turns = false;           ///< they are heads that rotary embedding turns
  std::uint64_t first_row = 0;  ///< in the tensor
  std::uint64_t all_rows = 0;   ///< of the tensor; 0: `rows`

  std::uint64_t tensor_rows() const { return all_rows > 0 ? all_rows : rows; }
};

/// A matrix whose parts stand one above the other.
struct MatrixSpec {
  kernels::MatrixUse use;
  std::vector<TensorRows> parts;
  std::uint64_t cols = 0;
};

struct LayerMatrices {
  MatrixSpec qkv, attention_out;
  MatrixSpec gate_up;  ///< gate above up
  MatrixSpec down;
};

LayerMatrices layer_matrices(const DecoderSpec& spec, std::uint32_t layer);
/// The vectors of a layer, as columns; without a name, or empty, where the architecture has none.
struct LayerVectors {
  TensorRows attention_norm, ffn_norm;
  TensorRows post_attention_norm, post_ffn_norm;
  TensorRows query_norm, key_norm;
  std::vector<TensorRows> qkv_bias;
};
LayerVectors layer_vectors(const DecoderSpec& spec, std::uint32_t layer);
/// Behind the last layer.
TensorRows output_norm(const DecoderSpec& spec);
/// What a rotary table's frequencies are divided by; without a name where it has none.
TensorRows rope_factors(const DecoderSpec& spec, const RopeSpec& rope);
/// All of these that there are.
std::vector<TensorRows> all_vectors(const DecoderSpec& spec);

/// Whether the embedding gives logits, too: the file has no matrix of its own for it.
bool is_tied(const GgufFile& file);
/// What gives logits.
MatrixSpec output_matrix(const DecoderSpec& spec, const GgufFile& file);

/// The parts with their types, without data; empty where the file lacks one of them.
std::vector<kernels::HostTensor> typed_parts(const GgufFile& file, const MatrixSpec& matrix);

}  // namespace headwater::model
