#pragma once
// What a model takes of a machine, and how it is computed there: the second part of `headwater model info FILE`.

#include <cstdint>
#include <string>
#include <vector>

#include "headwater/result.h"
#include "kernels/backend.h"
#include "model/gguf.h"

namespace headwater::model {

/// Sequences whose keys and values are to be held at once.
struct FitQuestion {
  std::uint32_t sequences = 16;
  std::uint32_t context = 0;       ///< tokens of each; 0: the model's context, at most 4,096
  std::string pre_tokenizer = {};  ///< see Tokenizer::load()
};

/// Lines of "label  value", ending in a newline: the window, if layers have one, the weights' bytes, the cache's for
/// each of its formats, and what the products with each kind of matrix run on. Layers with a window count up to that, a
/// step's rows and a block. Reads the header alone. Error: why no server takes the file; a question
/// beyond the model's context.
Result<std::string> describe_fit(const GgufFile& file, const kernels::Backend& backend, const FitQuestion& question);

/// The quantised matrices whose weights have to be expanded, each with the reason: "blk.3.attn_q.weight
/// + blk.3.attn_k.weight: in bfloat16, since …". REQUIRES: read_served_model(file).
std::vector<std::string> fallbacks(const GgufFile& file, const kernels::Backend& backend);

}  // namespace headwater::model
