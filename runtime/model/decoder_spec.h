#pragma once
// A decoder-only transformer as data: what Decoder (decoder.h) computes, and how a model file's metadata say so.

#include <cstdint>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/rope_spec.h"

namespace headwater::model {

/// In what one layer differs from others.
struct LayerSpec {
  std::uint32_t window = 0;  ///< last tokens that a query sees, its own among them; 0: all
  std::uint32_t rope = 0;    ///< which of DecoderSpec::ropes
};

/// Every layer is
///     x += residual_scale · post_norm(attention(norm(x))); x += residual_scale · post_norm(feed_forward(norm(x)))
/// with RMS norms, grouped-query attention and a gated feed-forward network.
struct DecoderSpec {
  ModelShape shape;
  std::uint32_t ffn_dim = 0;
  float epsilon = 0;  ///< of the norms
  std::vector<LayerSpec> layers;

  /// Which two values of a head turn together.
  enum class Pairs : std::uint8_t {
    neighbours,  ///< 2i and 2i + 1
    halves,      ///< i and i + rope_dim / 2
  };
  Pairs pairs = Pairs::neighbours;
  std::uint32_t rope_dim = 0;  ///< leading values of a head that turn, even
  std::vector<RopeSpec> ropes = std::vector<RopeSpec>(1);

  bool qkv_bias = false;
  bool qk_norm = false;        ///< of each query and key, before it turns
  bool post_norms = false;     ///< of what attention and the feed-forward network give
  bool fused_qkv = false;      ///< the file has queries, keys and values in one matrix
  bool fused_gate_up = false;  ///< likewise gate and up
  kernels::Activation activation = kernels::Activation::silu;
  float attention_scale = 0;  ///< of scores; 0: 1 / sqrt(head_dim)
  float embedding_scale = 1;
  float residual_scale = 1;
  float logit_scale = 1;
  float score_cap = 0;  ///< a score of attention becomes cap · tanh(score / cap); 0: it stays
  float logit_cap = 0;  ///< likewise a logit

  /// What of this the weights and metadata alone do not settle, for a name of the numerics. Empty: nothing.
  std::string variant;
};

/// Reads and checks all that can be checked without loading weights. context: the most tokens that a sequence will
/// have, which decides how positions are scaled where the file has two ways; 0: as many as the model's own context.
/// Errors: an unknown architecture (the known are listed), metadata that are missing, wrong or do not fit together.
Result<DecoderSpec> read_decoder_spec(const GgufFile& file, std::uint32_t context = 0);

}  // namespace headwater::model
