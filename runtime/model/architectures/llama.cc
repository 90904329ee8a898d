// Llama 2 and 3, Mistral, SmolLM: RMS norms, rotary embedding, grouped-query attention, SwiGLU.
// Source: Touvron et al., "LLaMA: open and efficient foundation language models", 2023.

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_llama(SpecReader& read, DecoderSpec& spec) {
  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);
  if (read.has_tensor("rope_freqs.weight")) spec.ropes[0].factors = "rope_freqs.weight";  // Llama 3.1
  read_window(read, spec);                                                                // Mistral 7B
}

}  // namespace headwater::model
