#include "model/model_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using test::GgufWriter;
using testing::HasSubstr;

std::string refusal(const std::string& bytes) {
  const test::TemporaryFile path(bytes);
  const auto file = GgufFile::open(path.path());
  if (!file) return file.error().message;
  const auto spec = read_decoder_spec(**file);
  if (!spec) return spec.error().message;
  const auto fits = check_tensors(**file, *spec);
  return fits ? "" : fits.error().message;
}

TEST(ModelTensors, FitWhereTheyAreThoseOfTheArchitecture) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "internlm2", "granite"}) {
    EXPECT_EQ(refusal(test::tiny_llama({.architecture = name}).bytes()), "") << name;
    EXPECT_EQ(refusal(test::tiny_llama({.tied = false, .architecture = name}).bytes()), "") << name;
  }
}

TEST(ModelTensors, AreNamedWhereOneIsMissing) {
  // It says that it has a layer more than it has.
  std::string bytes = test::tiny_llama({.layers = 1}).bytes();
  const std::string key = "llama.block_count";
  bytes[bytes.find(key) + key.size() + 4] = 2;
  EXPECT_THAT(refusal(bytes), HasSubstr("tensor \"blk.1.attn_q.weight\" is missing, expected shape [64 x 64]"));
}

TEST(ModelTensors, AreNamedWhereTheModelHasNoUseForOne) {
  const std::vector<float> values(64);
  for (const char* name : {"blk.0.attn_q.bias", "output.bias", "position_embd.weight", "rope_factors_long.weight"}) {
    GgufWriter writer = test::tiny_llama({});
    writer.add_tensor(name, {64}, kernels::DType::f32, values);
    const std::string expected = "tensor \"" + std::string(name) + "\" is there, expected a llama model without it";
    EXPECT_THAT(refusal(writer.bytes()), HasSubstr(expected));
  }
}

}  // namespace
}  // namespace headwater::model
