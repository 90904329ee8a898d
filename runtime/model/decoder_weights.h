#pragma once
// The weights of a decoder, as the hardware has them.

#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/decoder_spec.h"
#include "model/gguf.h"
#include "model/rotary_means.h"

namespace headwater::model {

/// Null: the architecture has none.
struct LayerWeights {
  std::unique_ptr<kernels::Buffer> attention_norm, ffn_norm;
  std::unique_ptr<kernels::Buffer> post_attention_norm, post_ffn_norm;
  std::unique_ptr<kernels::Buffer> query_norm, key_norm;
  std::unique_ptr<kernels::Buffer> qkv_bias;
  std::unique_ptr<kernels::Matrix> qkv, attention_out, gate_up, down;
};

struct DecoderWeights {
  std::unique_ptr<kernels::Matrix> embedding;  ///< for lookup
  std::unique_ptr<kernels::Matrix> output;
  std::unique_ptr<kernels::Buffer> output_norm;
  std::vector<LayerWeights> layers;
  std::vector<RotaryTable> ropes;  ///< as the backend has them
};

/// Loads all that the spec asks for, in the order in which it is computed, and sets the backend's rotary tables. Heads
/// that turn by halves are put into the order in which neighbours turn. Errors: missing or misshapen tensors; one
/// that cannot be read. Throws std::bad_alloc. REQUIRES: check_tensors(), which refuses those that are not asked for.
Result<DecoderWeights> load_weights(const GgufFile& file, const DecoderSpec& spec, kernels::Backend& backend);

}  // namespace headwater::model
