#include "model/model_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "model/model_info.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using testing::HasSubstr;

class ModelFit : public testing::Test {
 protected:
  static Result<std::string> describe(const test::GgufWriter& writer, const FitQuestion& question = {}) {
    const test::TemporaryFile path(writer.bytes());
    const auto file = GgufFile::open(path.path());
    if (!file) return file.error();
    return describe_fit(**file, *kernels::make_cpu_backend(1), question);
  }
};

TEST_F(ModelFit, CountsTheCacheOfAsManySequencesInEveryFormat) {
  const auto text = describe(test::tiny_llama({}), {3, 100});
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_THAT(*text, HasSubstr("KV cache        of 3 sequences of 100 tokens\n"));
  // Two layers of keys and values, two heads of 16 values of two bytes; 100 tokens take four blocks of 32.
  constexpr std::uint64_t kToken = 2 * 2 * 2 * 16 * 2;
  EXPECT_THAT(*text, HasSubstr("\n  0             16 bits: " + with_commas(kToken) + " bytes a token, " +
                               readable_bytes(kToken * 3 * 128) + ", with the weights "));
  for (const char* policy : {"\n  8 ", "\n  4 ", "\n  k8v4 "}) EXPECT_THAT(*text, HasSubstr(policy));
}

TEST_F(ModelFit, NamesTheBytesThatATokenTakesInEveryFormat) {
  const auto text = describe(test::tiny_llama({}), {3, 100});
  ASSERT_TRUE(text.ok()) << text.error().message;
  const auto backend = kernels::make_cpu_backend(1);
  for (const std::string policy : {"0", "8", "k8v4", "4"}) {
    const auto format = kernels::parse_quant_policy(policy);
    ASSERT_TRUE(format.has_value());
    const std::uint64_t block = backend->kv_block_bytes({{{2, 16}, {2, 16}}, 32, *format}).total();
    const std::uint64_t blocks = kernels::block_grid(*format, 32).covering(100);
    EXPECT_THAT(*text, HasSubstr(" bits: " + with_commas(block / 32) + " bytes a token, " +
                                 readable_bytes(block * 3 * blocks) + ", with the weights "))
        << policy;
  }
}

TEST_F(ModelFit, CountsLayersThatSeeAWindowUpToThat) {
  // Of two layers the first sees a window. Each has two heads of 16 values of two bytes, for keys and values.
  constexpr std::uint64_t kLayer = std::uint64_t{2} * 2 * 16 * 2;
  const test::TinyOptions some{.context = 4000, .architecture = "gemma3", .window = 40};
  const auto text = describe(test::tiny_llama(some), {3, 2000});
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_THAT(*text, HasSubstr("window          40 tokens, in 1 of 2 layers\n"));
  // 40 tokens and the 512 rows of a step take 18 blocks of 32, where the window begins within one more.
  EXPECT_THAT(*text, HasSubstr("of 3 sequences of 2,000 tokens, of which window layers keep 608 at most\n"));
  EXPECT_THAT(*text,
              HasSubstr("16 bits: " + with_commas(kLayer) + " bytes a token, and " + with_commas(kLayer) +
                        " in window layers, " + readable_bytes(3 * kLayer * (63 + 19) * 32) + ", with the weights "));
  // All of a short sequence is within reach of the window.
  const auto short_ones = describe(test::tiny_llama(some), {3, 100});
  EXPECT_THAT(*short_ones, HasSubstr("of 3 sequences of 100 tokens\n"));
  EXPECT_THAT(*short_ones, HasSubstr(readable_bytes(kLayer * 3 * 2 * 128)));

  const auto all = describe(test::tiny_llama({.context = 4000, .architecture = "phi3", .window = 40}), {1, 2000});
  EXPECT_THAT(*all, HasSubstr("window          40 tokens, in 2 of 2 layers\n"));
  EXPECT_THAT(*all, HasSubstr("16 bits: " + with_commas(2 * kLayer) + " bytes a token in window layers, " +
                              readable_bytes(2 * kLayer * 19 * 32)));
  EXPECT_THAT(*describe(test::tiny_llama({})), testing::Not(HasSubstr("window")));
}

TEST_F(ModelFit, AsksForTheModelsContextWhereNoneIsGiven) {
  EXPECT_THAT(*describe(test::tiny_llama({.context = 300})), HasSubstr("of 16 sequences of 300 tokens"));
  EXPECT_THAT(*describe(test::tiny_llama({.context = 9000})), HasSubstr("of 16 sequences of 4,096 tokens"));
  const auto beyond = describe(test::tiny_llama({.context = 300}), {1, 301});
  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().message, "--context 301 is beyond the model's 300");
}

TEST_F(ModelFit, NamesWhatEachKindOfMatrixRunsOn) {
  const auto backend = kernels::make_cpu_backend(1);
  const kernels::HostTensor part{nullptr, kernels::DType::q8_0, 64, 64};
  const kernels::HostTensor parts[] = {part, part, part};
  const auto path = [&](bool outermost) {
    return backend->matrix_path(parts, {kernels::MatrixRole::qkv, kernels::Activation::silu, outermost}).name;
  };
  const auto text = describe(test::tiny_llama({.layers = 3, .type = kernels::DType::q8_0}));
  ASSERT_TRUE(text.ok()) << text.error().message;
  const std::string layers =
      path(false) == path(true) ? path(true) + " x 3" : path(false) + " x 1; " + path(true) + " x 2";
  EXPECT_THAT(*text, HasSubstr("\n  attn_qkv      " + layers + "\n"));
  EXPECT_THAT(*text, HasSubstr("\n  ffn_gate_up   "));
  EXPECT_THAT(*text, HasSubstr("\n  output        "));
  EXPECT_THAT(*text, testing::Not(HasSubstr("attn_k ")));
}

TEST_F(ModelFit, NamesQuantisedMatricesThatAreNotComputedInWholeNumbers) {
  const auto found = [](std::uint32_t ffn, kernels::Precision precision) {
    const test::TinyOptions options{.layers = 1, .ffn = ffn, .type = kernels::DType::q8_0};
    const test::TemporaryFile path(test::tiny_llama(options).bytes());
    return fallbacks(*GgufFile::open(path.path()).value(), *kernels::make_cpu_backend(1, precision));
  };
  EXPECT_THAT(found(128, kernels::Precision::fast), testing::IsEmpty());
  EXPECT_THAT(found(32800, kernels::Precision::exact), testing::IsEmpty());
  EXPECT_THAT(found(32800, kernels::Precision::fast),
              testing::ElementsAre(testing::AllOf(testing::StartsWith("blk.0.ffn_down.weight: in "),
                                                  HasSubstr(", since it has 32800 columns"))));
}

TEST_F(ModelFit, SaysWhyAFileIsNotServed) {
  const auto refusal = [](const test::GgufWriter& writer) {
    const auto text = describe(writer);
    return text ? "" : text.error().message;
  };
  EXPECT_THAT(refusal(test::GgufWriter()), HasSubstr("\"general.architecture\" is missing"));
  EXPECT_THAT(refusal(test::GgufWriter().add_string("general.architecture", "future")),
              HasSubstr("unknown architecture \"future\""));
  auto model = test::tiny_llama({});
  EXPECT_EQ(refusal(model), "");
}

}  // namespace
}  // namespace headwater::model
