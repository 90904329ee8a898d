// Gemma 3: norms before and after each part, and of queries and keys; GELU; five layers that see a window to one that
// sees all, each kind with a rotary base of its own. Source: "Gemma 3 technical report", 2025.

#include <cmath>

#include "model/architectures/architectures.h"

namespace headwater::model {

void specify_gemma3(SpecReader& read, DecoderSpec& spec) {
  spec.pairs = DecoderSpec::Pairs::halves;
  spec.qk_norm = true;
  spec.post_norms = true;
  spec.activation = kernels::Activation::gelu;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.shape.embedding_dim));

  const std::uint32_t window = read.dimension("attention.sliding_window", kMaxContext);
  const std::uint32_t pattern = read.dimension("attention.sliding_window_pattern", kMaxLayers, 6);
  RopeSpec local;
  local.base = read.positive("rope.freq_base_swa", 10000);
  read_rope_scaling(read, spec.ropes[0], spec.shape.context_length);  // only of layers that see all
  spec.ropes.push_back(local);
  for (std::uint32_t i = 0; i < spec.layers.size(); ++i) {
    if ((i + 1) % pattern != 0) spec.layers[i] = {window, 1};
  }
  constexpr std::uint32_t kLayersOf27B = 62;  // whose heads' scale is of another width than theirs
  if (spec.layers.size() == kLayersOf27B) {
    spec.attention_scale = 1 / std::sqrt(static_cast<float>(spec.shape.embedding_dim) / spec.shape.n_heads);
  }
}

}  // namespace headwater::model
