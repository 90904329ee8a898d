#include "model/supported.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/architecture.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using kernels::DType;
using test::GgufWriter;
using testing::HasSubstr;

/// What is behind the path.
std::string refusal(const GgufWriter& writer) {
  const test::TemporaryFile path(writer.bytes());
  const auto file = GgufFile::open(path.path());
  if (!file) return file.error().message;
  const auto supported = check_supported(**file);
  return supported ? "" : supported.error().message.substr(path.path().size());
}

std::string refusal(const std::string& architecture, const std::function<void(GgufWriter&)>& add) {
  GgufWriter writer = test::tiny_llama({.architecture = architecture});
  add(writer);
  return refusal(writer);
}

TEST(Supported, TakesTheArchitecturesThatAreThere) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "internlm2", "granite"}) {
    EXPECT_EQ(refusal(name, [](GgufWriter&) {}), "") << name;
    EXPECT_EQ(refusal(name, [](GgufWriter& file) { file.add_string("general.type", "model"); }), "") << name;
  }
}

TEST(Supported, SaysWhatAFileIsThatIsNoLanguageModel) {
  const auto of_type = [](const char* type) { return refusal(GgufWriter().add_string("general.type", type)); };
  EXPECT_EQ(
      of_type("adapter"),
      ": this is a LoRA adapter (general.type is \"adapter\"), expected a language model; merge it into its model "
      "and give that");
  EXPECT_THAT(of_type("mmproj"), HasSubstr("this is the projector of a multimodal model (general.type is"));
  EXPECT_THAT(of_type("imatrix"), HasSubstr("this is an importance matrix, which quantising takes (general.type is"));
  EXPECT_EQ(of_type("dataset"), ": metadata general.type is \"dataset\", expected \"model\"");
  const std::vector<float> one(1);
  EXPECT_THAT(refusal(GgufWriter().add_tensor("blk.0.attn_q.weight.lora_a", {1}, DType::f32, one)),
              HasSubstr("this is a LoRA adapter (it has tensors whose names end in .lora_a)"));
  EXPECT_THAT(refusal(GgufWriter().add_tensor("blk.0.attn_q.weight.in_sum2", {1}, DType::f32, one)),
              HasSubstr("this is an importance matrix"));
  EXPECT_THAT(refusal(GgufWriter().add_string("general.architecture", "clip")),
              HasSubstr("this is the projector of a multimodal model (general.architecture is \"clip\")"));
  GgufWriter vocabulary;
  vocabulary.add_string("general.architecture", "llama");
  test::add_tiny_tokenizer(vocabulary);
  EXPECT_EQ(refusal(vocabulary),
            ": this is a vocabulary without tensors, expected a language model; give the file with the weights");
  EXPECT_THAT(refusal(GgufWriter().add_u32("general.type", 1)),
              HasSubstr("metadata \"general.type\" is 1, expected a string"));
}

TEST(Supported, NamesTheFeatureThatNoArchitectureHasAndWhatToTakeInstead) {
  EXPECT_EQ(refusal("llama", [](GgufWriter& file) { file.add_u32("llama.expert_count", 8); }),
            ": mixture of experts is not supported: metadata \"llama.expert_count\" is 8; use a dense model");
  EXPECT_EQ(refusal("llama", [](GgufWriter& file) { file.add_u32("llama.expert_count", 0); }), "");
  const std::vector<float> one(1);
  EXPECT_EQ(
      refusal("llama", [&](GgufWriter& file) { file.add_tensor("blk.0.ffn_gate_exps.weight", {1}, DType::f32, one); }),
      ": mixture of experts is not supported: there is a tensor \"blk.0.ffn_gate_exps.weight\"; use a dense model");
  EXPECT_THAT(
      refusal(GgufWriter().add_string("general.architecture", "qwen3moe").add_u32("qwen3moe.expert_count", 128)),
      HasSubstr("mixture of experts"))
      << "whether or not the architecture is known";
  EXPECT_THAT(refusal(GgufWriter().add_string("general.architecture", "mamba").add_u32("mamba.ssm.state_size", 16)),
              HasSubstr("state-space layers are not supported: metadata \"mamba.ssm.state_size\" is 16; use a model"));
  EXPECT_EQ(
      refusal("qwen3", [](GgufWriter& file) { file.add_u32("qwen3.pooling_type", 3); }),
      ": an embedding model gives no text: metadata \"qwen3.pooling_type\" is 3; use a model that generates text");
  EXPECT_EQ(refusal(GgufWriter().add_string("general.architecture", "bert").add_bool("bert.attention.causal", false)),
            ": a model whose tokens see those that come later gives no text: metadata \"bert.attention.causal\" is "
            "false; use a model that generates text");
  EXPECT_EQ(refusal("llama", [](GgufWriter& file) { file.add_bool("llama.attention.causal", true); }), "");
  EXPECT_THAT(refusal("llama", [](GgufWriter& file) { file.add_f32("llama.attention.max_alibi_bias", 8); }),
              HasSubstr("ALiBi is not supported: metadata \"llama.attention.max_alibi_bias\" is 8;"));
  EXPECT_THAT(refusal("llama", [](GgufWriter& file) { file.add_bool("llama.use_parallel_residual", true); }),
              HasSubstr("\"llama.use_parallel_residual\" is true;"));
  EXPECT_THAT(
      refusal("llama", [&](GgufWriter& file) { file.add_tensor("blk.0.attn_sinks.weight", {1}, DType::f32, one); }),
      HasSubstr("attention sinks are not supported: there is a tensor \"blk.0.attn_sinks.weight\""));
}

TEST(Supported, SaysBothWidthsWhereKeysAndValuesDiffer) {
  EXPECT_EQ(
      refusal("llama",
              [](GgufWriter& file) {
                file.add_u32("llama.attention.key_length", 16).add_u32("llama.attention.value_length", 32);
              }),
      ": values of another width than keys are not supported: metadata \"llama.attention.value_length\" is 32, and "
      "keys have 16; use a model of another architecture");
  EXPECT_THAT(refusal("llama", [](GgufWriter& file) { file.add_u32("llama.attention.value_length", 24); }),
              HasSubstr("\"llama.attention.value_length\" is 24, and keys have 16;"));
  EXPECT_EQ(refusal("llama", [](GgufWriter& file) { file.add_u32("llama.attention.value_length", 16); }), "");
}

TEST(Supported, RefusesFactorsThatTheArchitectureWouldLeaveOut) {
  EXPECT_EQ(refusal("qwen2", [](GgufWriter& file) { file.add_f32("qwen2.logit_scale", 0.25F); }),
            ": metadata \"qwen2.logit_scale\" is 0.25, expected no such factor in a model of this architecture");
  EXPECT_EQ(refusal("qwen2", [](GgufWriter& file) { file.add_f32("qwen2.logit_scale", 1); }), "");
  EXPECT_EQ(refusal("gemma3", [](GgufWriter& file) { file.add_f32("gemma3.final_logit_softcapping", 0); }), "");
  EXPECT_THAT(refusal("gemma3", [](GgufWriter& file) { file.add_f32("gemma3.final_logit_softcapping", 30); }),
              HasSubstr("\"gemma3.final_logit_softcapping\" is 30"));
  EXPECT_THAT(refusal("qwen2", [](GgufWriter& file) { file.add_u32("qwen2.attention.sliding_window", 64); }),
              HasSubstr("\"qwen2.attention.sliding_window\" is 64, expected none, or the whole context"));
  EXPECT_EQ(refusal("qwen2", [](GgufWriter& file) { file.add_u32("qwen2.attention.sliding_window", 512); }), "");
}

TEST(Supported, IsAskedBeforeWeightsAreLoaded) {
  GgufWriter writer = test::tiny_llama({});
  writer.add_u32("llama.expert_count", 8);
  const test::TemporaryFile path(writer.bytes());
  const auto loaded = Architecture::load(*GgufFile::open(path.path()), kernels::make_cpu_backend(1));
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.error().message, HasSubstr("mixture of experts"));
}

}  // namespace
}  // namespace headwater::model
