#pragma once
// The tensors that a model needs, held against those that its file has.

#include <vector>

#include "headwater/result.h"
#include "model/decoder_spec.h"
#include "model/decoder_tensors.h"
#include "model/gguf.h"

namespace headwater::model {

/// A matrix of the model, and what it is called in all layers.
struct NamedMatrix {
  const char* kind;
  MatrixSpec matrix;
};
std::vector<NamedMatrix> all_matrices(const GgufFile& file, const DecoderSpec& spec);

/// Error: a tensor that the model needs is missing or has another shape; or there is one that it has no use for, so
/// that it is not the model that it says it is.
Result<void> check_tensors(const GgufFile& file, const DecoderSpec& spec);

}  // namespace headwater::model
