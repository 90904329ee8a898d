// Gemma 2: norms before and after each part; GELU; every other layer sees a window; scores and logits are capped.
// Source: "Gemma 2: improving open language models at a practical size", 2024.

#include <cmath>

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_gemma2(SpecReader& read, DecoderSpec& spec) {
  spec.pairs = DecoderSpec::Pairs::halves;
  spec.post_norms = true;
  spec.activation = kernels::Activation::gelu;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.shape.embedding_dim));
  spec.score_cap = static_cast<float>(read.positive("attn_logit_softcapping", 50));
  spec.logit_cap = static_cast<float>(read.positive("final_logit_softcapping", 30));

  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);

  const std::uint32_t window = read.dimension("attention.sliding_window", kMaxContext, 4096);
  for (std::size_t i = 0; i < spec.layers.size(); i += 2) spec.layers[i].window = window;
  constexpr std::size_t kLayersOf27B = 46;  // whose heads' scale is of another width than theirs
  if (spec.layers.size() == kLayersOf27B) {
    spec.attention_scale = 1 / std::sqrt(static_cast<float>(spec.shape.embedding_dim) / spec.shape.n_heads);
  }
}

}  // namespace headwater::model
