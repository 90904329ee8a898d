// What architectures read of a file, beside what the comparison with other implementations shows.

#include <gtest/gtest.h>

#include "model/decoder_spec.h"
#include "model/decoder_tensors.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

DecoderSpec spec_of(const test::GgufWriter& writer) {
  const test::TemporaryFile path(writer.bytes());
  return read_decoder_spec(**GgufFile::open(path.path())).value();
}

TEST(Architectures, LlamaSeesAWindowWhereTheFileHasOneThatIsShorterThanTheContext) {
  const auto window = [](std::uint32_t tokens) {
    test::GgufWriter writer = test::tiny_llama({.context = 512});
    return spec_of(writer.add_u32("llama.attention.sliding_window", tokens)).layers[1].window;
  };
  EXPECT_EQ(window(128), 128U);
  EXPECT_EQ(window(512), 0U);
  EXPECT_EQ(window(0), 0U);
  EXPECT_EQ(spec_of(test::tiny_llama({})).layers[1].window, 0U);
}

TEST(Architectures, Gemma2ScalesPositionsAsTheFileSays) {
  test::GgufWriter writer = test::tiny_llama({.architecture = "gemma2"});
  writer.add_string("gemma2.rope.scaling.type", "linear").add_f32("gemma2.rope.scaling.factor", 4);
  EXPECT_EQ(spec_of(writer).ropes[0].factor, 4);
}

TEST(Architectures, TheFirstAndTheLastLayerAreTheOutermost) {
  const DecoderSpec spec = spec_of(test::tiny_llama({.layers = 3}));
  for (const std::uint32_t layer : {0U, 1U, 2U}) {
    const LayerMatrices matrices = layer_matrices(spec, layer);
    for (const MatrixSpec* matrix : {&matrices.qkv, &matrices.attention_out, &matrices.gate_up, &matrices.down}) {
      EXPECT_EQ(matrix->use.outermost, layer != 1) << layer;
    }
  }
}

}  // namespace
}  // namespace headwater::model
