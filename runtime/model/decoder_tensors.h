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
  std::vector<TensorRows> parts;
  std::uint64_t cols = 0;
};

struct LayerMatrices {
  MatrixSpec qkv, attention_out;
  MatrixSpec gate_up;  ///< gate above up
  MatrixSpec down;
};

/// "blk.3."
std::string layer_prefix(std::uint32_t layer);
LayerMatrices layer_matrices(const DecoderSpec& spec, std::uint32_t layer);
/// All vectors that are loaded: norms, biases, rotary factors.
std::vector<TensorRows> all_vectors(const DecoderSpec& spec);
/// The biases of queries, keys and values, as columns.
std::vector<TensorRows> qkv_biases(const DecoderSpec& spec, std::uint32_t layer);
/// What gives logits: the embedding, where the file has no matrix of its own for it.
MatrixSpec output_matrix(const DecoderSpec& spec, const GgufFile& file);

/// The parts with their types, without data; empty where the file lacks one of them.
std::vector<kernels::HostTensor> typed_parts(const GgufFile& file, const MatrixSpec& matrix);

}  // namespace headwater::model
