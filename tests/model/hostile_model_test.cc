// Models whose header is sound and whose weights are not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "model/architecture.h"
#include "model/sampler.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using kernels::DType;

constexpr std::uint32_t kDim = 256;
constexpr std::uint32_t kKv = 128;  ///< two heads of 64
constexpr std::uint32_t kVocab = 263;

/// A type of weights, and ggml's number of it.
struct Type {
  DType type;
  std::uint32_t code;
};
constexpr Type kTypes[] = {{DType::f32, 0},    {DType::f16, 1},   {DType::bf16, 30}, {DType::q4_0, 2},
                           {DType::q4_1, 3},   {DType::q5_0, 6},  {DType::q5_1, 7},  {DType::q8_0, 8},
                           {DType::q4_k, 12},  {DType::q5_k, 13}, {DType::q6_k, 14}, {DType::iq4_nl, 20},
                           {DType::iq4_xs, 23}};

std::string random_bytes(std::size_t n, std::mt19937& random) {
  std::string bytes(n, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// Scales of every kind come up in random bytes: NaN, infinite, subnormal, negative.
test::GgufWriter random_weights(const Type& type, std::uint32_t seed) {
  std::mt19937 random(seed);
  test::GgufWriter writer;
  writer.add_string("general.architecture", "llama")
      .add_u32("llama.block_count", 1)
      .add_u32("llama.context_length", 64)
      .add_u32("llama.embedding_length", kDim)
      .add_u32("llama.feed_forward_length", kDim)
      .add_u32("llama.attention.head_count", 4)
      .add_u32("llama.attention.head_count_kv", 2);
  const auto matrix = [&](const std::string& name, std::uint32_t rows) {
    writer.add_raw(name, {kDim, rows}, type.code, random_bytes(rows * kernels::row_bytes(type.type, kDim), random));
  };
  matrix("token_embd.weight", kVocab);
  for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) {
    writer.add_tensor("blk.0." + std::string(name), {kDim}, DType::f32, std::vector<float>(kDim, 1.0F));
  }
  matrix("blk.0.attn_q.weight", kDim);
  matrix("blk.0.attn_k.weight", kKv);
  matrix("blk.0.attn_v.weight", kKv);
  for (const char* name : {"attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
    matrix("blk.0." + std::string(name) + ".weight", kDim);
  }
  writer.add_tensor("output_norm.weight", {kDim}, DType::f32, std::vector<float>(kDim, 1.0F));
  return writer;
}

TEST(HostileModel, OfAnyBytesAsWeightsIsComputedAndItsLogitsAreUsableOrSaidNotToBe) {
  const std::int32_t table[] = {1, 0};
  const std::vector<TokenId> tokens = {1, 2, 262, 0, 7};
  const BatchSequence rows[] = {{0, 5, 0, table}};
  const std::uint32_t wanted[] = {0, 4};
  std::size_t unusable = 0;
  for (const Type& type : kTypes) {
    const test::TemporaryFile path(random_weights(type, 7 + type.code).bytes());
    const auto file = GgufFile::open(path.path());
    ASSERT_TRUE(file.ok()) << file.error().message;
    for (const auto precision : {kernels::Precision::fast, kernels::Precision::exact}) {
      auto model = Architecture::load(*file, kernels::make_cpu_backend(2, precision));
      ASSERT_TRUE(model.ok()) << model.error().message;
      for (const char* policy : {"0", "8", "4"}) {
        SCOPED_TRACE(std::string(kernels::name(type.type)) + ", quant policy " + policy);
        (*model)->allocate_kv(2, 32, *kernels::parse_quant_policy(policy));
        const auto logits = (*model)->forward({tokens, rows, wanted});
        ASSERT_EQ(logits.size(), 2 * kVocab);
        for (std::size_t row = 0; row < 2; ++row) {
          const auto of_row = logits.subspan(row * kVocab, kVocab);
          const Sampled scored = score_token(of_row, 3, 0);
          const bool usable = std::ranges::none_of(of_row, [](float x) { return std::isnan(x) || x == INFINITY; }) &&
                              std::ranges::any_of(of_row, [](float x) { return x > -INFINITY; });
          EXPECT_EQ(scored.bad_logits, !usable);
          unusable += usable ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(unusable, 0U) << "no scale was NaN";
}

}  // namespace
}  // namespace headwater::model
