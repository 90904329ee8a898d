// Qwen2 and Qwen2.5: as Llama, with biases of queries, keys and values. Source: "Qwen2 technical report", 2024.

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_qwen2(SpecReader& read, DecoderSpec& spec) {
  spec.pairs = DecoderSpec::Pairs::halves;
  spec.qkv_bias = true;
  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);
}

}  // namespace headwater::model
