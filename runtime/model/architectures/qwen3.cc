// Qwen3: norms of each query and key instead of Qwen2's biases. Source: "Qwen3 technical report", 2025.

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_qwen3(SpecReader& read, DecoderSpec& spec) {
  spec.pairs = DecoderSpec::Pairs::halves;
  spec.qk_norm = true;
  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);
}

}  // namespace headwater::model
