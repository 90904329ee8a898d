// InternLM2: as Llama; files have its one matrix of queries, keys and values taken apart.
// Source: Cai et al., "InternLM2 technical report", 2024.

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_internlm2(SpecReader& read, DecoderSpec& spec) {
  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);
}

}  // namespace headwater::model
