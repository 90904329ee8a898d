#pragma once
// A decoder-only transformer as data: what Decoder (decoder.h) computes, and how a model file's metadata say so.

#include <cstdint>

#include "model/architecture.h"

namespace headwater::model {

struct RopeSpec {
  /// Which two values of a head turn together.
  enum class Pairs : std::uint8_t {
    neighbours,  ///< 2i and 2i + 1
    halves,      ///< i and i + dim / 2
  };
  Pairs pairs = Pairs::neighbours;
  std::uint32_t dim = 0;  ///< leading values of a head that turn, even
  double base = 10000;
  double factor = 1;  ///< positions are divided by it
};

struct DecoderSpec {
  ModelShape shape;
  std::uint32_t ffn_dim = 0;
  RopeSpec rope;
  float epsilon = 0;  ///< of the norms
  bool qkv_bias = false;
};

/// Reads and checks all that can be checked without loading weights. Errors: an unknown architecture (the known are
/// listed), metadata that are missing, wrong or do not fit together.
Result<DecoderSpec> read_decoder_spec(const GgufFile& file);

}  // namespace headwater::model
