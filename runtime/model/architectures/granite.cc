// Granite 3: as Llama, with multipliers in four places. Source: "Granite 3.0 language models", 2024.

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_granite(SpecReader& read, DecoderSpec& spec) {
  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);
  spec.embedding_scale = static_cast<float>(read.positive("embedding_scale", 1));
  spec.residual_scale = static_cast<float>(read.positive("residual_scale", 1));
  spec.logit_scale = static_cast<float>(1 / read.positive("logit_scale", 1));
  if (read.has("attention.scale")) spec.attention_scale = static_cast<float>(read.positive("attention.scale"));
}

}  // namespace headwater::model
