// Phi-3 and Phi-4: matrices of queries, keys and values, and of gate and up, in one; a window in some; positions
// scaled frequency by frequency, in one way for short and in another for long contexts.
// Sources: Abdin et al., "Phi-3 technical report", 2024; Ding et al., "LongRoPE", 2024.

#include <cmath>

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_phi3(SpecReader& read, DecoderSpec& spec) {
  spec.pairs = DecoderSpec::Pairs::halves;
  spec.fused_qkv = true;
  spec.fused_gate_up = true;
  read_window(read, spec);  // 0 in Phi-4's files
  RopeSpec& rope = spec.ropes[0];
  if (!read.has_tensor("rope_factors_long.weight") && !read.has_tensor("rope_factors_short.weight")) {
    return read_rope_scaling(read, rope, spec.shape.context_length);
  }
  const std::uint32_t original =
      read.dimension("rope.scaling.original_context_length", kMaxContext, spec.shape.context_length);
  const std::uint32_t most = read.context() > 0 ? read.context() : spec.shape.context_length;
  const bool extended = most > original;
  rope.factors = extended ? "rope_factors_long.weight" : "rope_factors_short.weight";
  spec.variant = extended ? "long rope" : "short rope";
  const float given = long_rope_magnitude(spec.shape.context_length, original);
  rope.magnitude = static_cast<float>(read.positive("rope.scaling.attn_factor", given));
}

}  // namespace headwater::model
