#include "model/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <vector>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

constexpr std::uint32_t kBlockTokens = 8;

/// A tiny model with blocks for one sequence.
class Tiny {
 public:
  explicit Tiny(const test::TinyOptions& options, std::uint32_t threads = 2)
      : Tiny(test::tiny_llama(options), threads) {}
  explicit Tiny(const test::GgufWriter& writer, std::uint32_t threads = 2) : file_(writer.bytes()) {
    auto loaded = Architecture::load(GgufFile::open(file_.path()).value(), kernels::make_cpu_backend(threads));
    if (!loaded) throw std::runtime_error(loaded.error().message);
    model_ = std::move(loaded).value();
    model_->allocate_kv(64, kBlockTokens);
  }

  const ModelShape& shape() const { return model_->shape(); }
  const std::string& path() const { return file_.path(); }
  std::string numerics(const kernels::KvFormat& format = {}) { return model_->numerics(format); }
  /// A cache of this format, empty.
  void keep_in(const std::string& policy) {
    model_->allocate_kv(64, kBlockTokens, kernels::parse_quant_policy(policy).value_or(kernels::KvFormat{}));
  }

  /// Logits after `tokens`, in chunks.
  std::vector<float> after(const std::vector<TokenId>& tokens, std::size_t chunk = 1000) {
    std::vector<float> logits;
    for (std::size_t at = 0; at < tokens.size(); at += chunk) {
      const std::size_t n = std::min(chunk, tokens.size() - at);
      const BatchSequence sequence{0, std::uint32_t(n), std::uint32_t(at), table_};
      const auto last = static_cast<std::uint32_t>(n - 1);
      std::vector<std::uint32_t> rows;
      if (at + n == tokens.size()) rows.push_back(last);
      const std::span<float> got = model_->forward({{tokens.data() + at, n}, {&sequence, 1}, rows});
      logits.assign(got.begin(), got.end());
    }
    return logits;
  }

 private:
  test::TemporaryFile file_;
  std::unique_ptr<Architecture> model_;
  std::vector<std::int32_t> table_{9, 3, 17, 4, 30, 22, 1, 0, 63, 62, 40, 41};
};

std::vector<TokenId> tokens(std::size_t n) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>((i * 37 + 11) % 250));
  return ids;
}

/// The message that a file made by `change` is refused with.
std::string refusal(const std::function<void(test::GgufWriter&)>& write) {
  test::GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  write(writer);
  const test::TemporaryFile file(writer.bytes());
  const auto opened = GgufFile::open(file.path());
  if (!opened) return opened.error().message;
  const auto shape = Architecture::shape_of(**opened);
  return shape ? "" : shape.error().message;
}

/// Metadata of a sane model but for one value.
std::string refusal_of(const std::string& key, std::uint32_t value) {
  return refusal([&](test::GgufWriter& writer) {
    const std::pair<const char*, std::uint32_t> sane[] = {
        {"llama.block_count", 1},         {"llama.context_length", 64},      {"llama.embedding_length", 8},
        {"llama.feed_forward_length", 8}, {"llama.attention.head_count", 2}, {"llama.attention.head_count_kv", 1},
        {"llama.rope.dimension_count", 4}};
    bool known = false;
    for (const auto& [name, number] : sane) {
      writer.add_u32(name, key == name ? value : number);
      known |= key == name;
    }
    if (!known) writer.add_u32(key, value);
    const std::vector<float> embedding(8 * 4);
    writer.add_tensor("token_embd.weight", {8, 4}, kernels::DType::f32, embedding);
  });
}

TEST(Decoder, AnswersTheSameAfterItsFileWasCutOffOrWrittenOver) {
  for (const kernels::DType type : {kernels::DType::f32, kernels::DType::q8_0, kernels::DType::q4_1}) {
    for (const bool tied : {true, false}) {
      Tiny model({.tied = tied, .type = type});
      const std::vector<float> expected = model.after(tokens(20));
      std::ofstream(model.path(), std::ios::in | std::ios::out) << std::string(1 << 20, 'x');
      EXPECT_EQ(model.after(tokens(20)), expected);
      std::filesystem::resize_file(model.path(), 0);
      EXPECT_EQ(model.after(tokens(20)), expected);
    }
  }
}

TEST(Decoder, TakesItsShapeFromTheFile) {
  Tiny model(test::TinyOptions{.layers = 3, .heads = 6, .kv_heads = 2, .head_dim = 16});
  EXPECT_EQ(model.shape().architecture, "llama");
  EXPECT_EQ(model.shape().n_layers, 3U);
  EXPECT_EQ(model.shape().n_kv_heads, 2U);
  EXPECT_EQ(model.shape().head_dim, 16U);
  EXPECT_EQ(model.shape().embedding_dim, 96U);
  EXPECT_EQ(model.shape().vocab_size, test::tiny_tokens().size());
}

TEST(Decoder, LogitsAreFiniteAndDependOnEveryEarlierToken) {
  Tiny model(test::TinyOptions{});
  const auto prompt = tokens(30);
  const auto base = model.after(prompt);
  EXPECT_TRUE(std::ranges::all_of(base, [](float x) { return std::isfinite(x); }));
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    auto changed = prompt;
    changed[i] = (changed[i] + 1) % 250;
    EXPECT_NE(model.after(changed), base) << "token " << i;
  }
}

TEST(Decoder, LogitsAreBitIdenticalInAnyChunkOnAnyThreadsWithAnyHeads) {
  for (const auto& [heads, kv_heads, head_dim] :
       {std::array{4U, 2U, 16U}, {6U, 1U, 24U}, {3U, 3U, 10U}, {34U, 2U, 4U}}) {
    const test::TinyOptions options{.heads = heads, .kv_heads = kv_heads, .head_dim = head_dim, .ffn = 96};
    Tiny model(options);
    const auto prompt = tokens(90);
    const auto expected = model.after(prompt);
    for (std::size_t chunk : {1U, 2U, 7U, 8U, 9U, 33U, 64U}) {
      EXPECT_EQ(model.after(prompt, chunk), expected) << heads << " heads in chunks of " << chunk;
    }
    EXPECT_EQ(Tiny(options, 1).after(prompt), expected) << heads << " heads on one thread";
  }
}

/// So wide that its feed-forward layers are computed in 8 bits where that is faster.
TEST(Decoder, LogitsOfAWideModelAreBitIdenticalInAnyChunkOnAnyThreads) {
  for (const kernels::DType type : {kernels::DType::q8_0, kernels::DType::q4_1, kernels::DType::q4_0}) {
    const test::TinyOptions options{.heads = 24, .head_dim = 64, .ffn = 1056, .type = type};
    Tiny model(options);
    const auto prompt = tokens(90);
    const auto expected = model.after(prompt);
    for (std::size_t chunk : {1U, 2U, 7U, 13U, 33U, 64U}) {
      EXPECT_EQ(model.after(prompt, chunk), expected) << kernels::name(type) << " in chunks of " << chunk;
    }
    EXPECT_EQ(Tiny(options, 1).after(prompt), expected) << kernels::name(type) << " on one thread";
  }
}

TEST(Decoder, EveryWeightFormatGivesAModelThatIsNearTheSame) {
  const auto prompt = tokens(20);
  const auto exact = Tiny(test::TinyOptions{.type = kernels::DType::f32}).after(prompt);
  for (auto type : {kernels::DType::f16, kernels::DType::bf16, kernels::DType::q8_0}) {
    const auto got = Tiny(test::TinyOptions{.type = type}).after(prompt);
    double difference = 0;
    double size = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      difference += std::abs(got[i] - exact[i]);
      size += std::abs(exact[i]);
    }
    EXPECT_LT(difference, 0.1 * size) << kernels::name(type);
  }
}

TEST(Decoder, AnOwnOutputMatrixIsUsed) {
  EXPECT_NE(Tiny(test::TinyOptions{.tied = false}).after(tokens(5)),
            Tiny(test::TinyOptions{.tied = true}).after(tokens(5)));
}

TEST(Decoder, LinearScalingOfPositionsChangesTheAnswer) {
  auto scaled = test::tiny_llama({});
  scaled.add_string("llama.rope.scaling.type", "linear").add_f32("llama.rope.scaling.factor", 4);
  const auto expected = Tiny(scaled).after(tokens(40));
  EXPECT_NE(expected, Tiny(test::TinyOptions{}).after(tokens(40)));
  // Files that name no kind of scaling mean this one, and older ones have another name for the factor.
  for (const char* name : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    EXPECT_EQ(Tiny(test::tiny_llama({}).add_f32(name, 4)).after(tokens(40)), expected) << name;
  }
}

TEST(Decoder, AWindowOfZeroIsNone) {
  const auto after = [](std::uint32_t window) {
    return Tiny(test::TinyOptions{.architecture = "phi3", .window = window}).after(tokens(40));
  };
  EXPECT_EQ(after(0), after(40));
  EXPECT_NE(after(0), after(5));
}

TEST(Decoder, FrequencyFactorsOfOneChangeNothingAndOthersDo) {
  const auto with = [](float factor) {
    auto writer = test::tiny_llama({});
    writer.add_tensor("rope_freqs.weight", {8}, kernels::DType::f32, std::vector<float>(8, factor));
    return Tiny(writer).after(tokens(40));
  };
  const auto plain = Tiny(test::TinyOptions{}).after(tokens(40));
  EXPECT_EQ(with(1), plain);
  EXPECT_NE(with(8), plain);
}

TEST(Decoder, NamesTheKeyOfEveryDimensionThatCannotBe) {
  EXPECT_EQ(refusal_of("llama.block_count", 1), "");
  for (const char* key : {"llama.block_count", "llama.context_length", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.head_count_kv",
                          "llama.attention.key_length", "llama.rope.dimension_count"}) {
    for (const std::uint32_t value : {0U, 0xFFFFFFFFU}) {
      EXPECT_NE(refusal_of(key, value).find(key), std::string::npos) << refusal_of(key, value);
    }
  }
  EXPECT_NE(refusal_of("llama.attention.head_count", 3).find("head_count"), std::string::npos);
  EXPECT_NE(refusal_of("llama.attention.head_count_kv", 3).find("head_count_kv"), std::string::npos);
  EXPECT_NE(refusal_of("llama.rope.dimension_count", 3).find("rope.dimension_count"), std::string::npos);
  EXPECT_NE(refusal_of("llama.rope.dimension_count", 6).find("rope.dimension_count"), std::string::npos);
  EXPECT_NE(refusal_of("llama.embedding_length", 16).find("token_embd.weight"), std::string::npos);
}

TEST(Decoder, RefusesAnotherArchitectureAndListsTheKnown) {
  test::GgufWriter writer;
  writer.add_string("general.architecture", "lama");
  const test::TemporaryFile file(writer.bytes());
  const auto shape = Architecture::shape_of(**GgufFile::open(file.path()));
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(
      shape.error().message.find("\"lama\" (known: llama, qwen2, qwen3, gemma2, gemma3, phi3, internlm2, granite)"),
      std::string::npos)
      << shape.error().message;
}

TEST(Decoder, RefusesAnUnknownScalingAndTensorsThatItWouldNotUse) {
  const auto message = [](const test::GgufWriter& writer) {
    const test::TemporaryFile file(writer.bytes());
    const auto loaded = Architecture::load(GgufFile::open(file.path()).value(), kernels::make_cpu_backend(1));
    return loaded ? "" : loaded.error().message;
  };
  auto scaled = test::tiny_llama({});
  EXPECT_NE(message(scaled.add_string("llama.rope.scaling.type", "dynamic")).find("\"dynamic\""), std::string::npos);
  auto escaped = test::tiny_llama({});
  EXPECT_EQ(message(escaped.add_string("llama.rope.scaling.type", "\x1b[31m\nline")).find_first_of("\x1b\n"),
            std::string::npos);
  auto no_number = test::tiny_llama({});
  EXPECT_NE(message(no_number.add_f32("llama.rope.scaling.factor", NAN)).find("rope.scaling.factor"),
            std::string::npos);
  for (const float factor : {0.0F, -1.0F, 1e-45F, NAN}) {
    auto turned = test::tiny_llama({});
    turned.add_tensor("rope_freqs.weight", {8}, kernels::DType::f32, std::vector<float>(8, factor));
    EXPECT_NE(message(turned).find("rope_freqs.weight"), std::string::npos) << factor;
  }
  for (const char* name :
       {"blk.1.attn_k.bias", "blk.0.ffn_down.bias", "blk.0.attn_output.bias", "blk.0.attn_q_norm.weight"}) {
    auto other = test::tiny_llama({});
    other.add_tensor(name, {8}, kernels::DType::f32, std::vector<float>(8));
    EXPECT_NE(message(other).find(name), std::string::npos);
  }
}

/// A model of one layer with 2 heads of 8. halves: queries and keys are in the order of the architectures that turn
/// values i and i + 4. bias: of queries, keys and values, or none.
test::GgufWriter small(const std::string& architecture, bool halves, std::optional<float> bias) {
  test::GgufWriter writer;
  writer.add_string("general.architecture", architecture);
  for (const auto& [name, value] : {std::pair<const char*, std::uint32_t>{"block_count", 1},
                                    {"context_length", 64},
                                    {"embedding_length", 16},
                                    {"feed_forward_length", 32},
                                    {"attention.head_count", 2},
                                    {"attention.head_count_kv", 2}}) {
    writer.add_u32(architecture + "." + name, value);
  }
  const auto add = [&](const std::string& name, std::uint64_t cols, std::uint64_t rows, bool turns) {
    std::vector<float> values(cols * rows);
    for (std::uint64_t row = 0; row < rows; ++row) {
      const std::uint64_t i = row % 8;
      const std::uint64_t place = halves && turns ? row - i + i / 2 + i % 2 * 4 : row;
      for (std::uint64_t c = 0; c < cols; ++c) {
        values[place * cols + c] = std::sin(static_cast<float>(row * cols + c) + static_cast<float>(name.size()));
      }
    }
    writer.add_tensor(name, {cols, rows}, kernels::DType::f32, values);
  };
  const auto add_vector = [&](const std::string& name, std::uint64_t n, float value) {
    writer.add_tensor(name, {n}, kernels::DType::f32, std::vector<float>(n, value));
  };
  add("token_embd.weight", 16, 250, false);
  add_vector("blk.0.attn_norm.weight", 16, 1);
  add_vector("blk.0.ffn_norm.weight", 16, 1);
  add_vector("output_norm.weight", 16, 1);
  for (const char* part : {"attn_q", "attn_k", "attn_v"}) {
    add("blk.0." + std::string(part) + ".weight", 16, 16, std::string(part) != "attn_v");
    if (bias) add_vector("blk.0." + std::string(part) + ".bias", 16, *bias);
  }
  add("blk.0.attn_output.weight", 16, 16, false);
  add("blk.0.ffn_gate.weight", 16, 32, false);
  add("blk.0.ffn_up.weight", 16, 32, false);
  add("blk.0.ffn_down.weight", 32, 16, false);
  return writer;
}

/// In 8 bits, where no keys are centred: then all bits are the same.
TEST(Decoder, TurnsHalvesAsItTurnsNeighbours) {
  const auto after = [](const test::GgufWriter& writer) {
    Tiny tiny(writer);
    tiny.keep_in("8");
    return tiny.after(tokens(40));
  };
  const auto expected = after(small("llama", false, {}));
  EXPECT_EQ(after(small("qwen2", true, 0.0F)), expected);
  EXPECT_NE(after(small("qwen2", false, 0.0F)), expected);
}

TEST(Decoder, AddsBiasesInAnyChunk) {
  Tiny biased(small("qwen2", true, 0.5F));
  const auto expected = biased.after(tokens(40));
  EXPECT_NE(expected, Tiny(small("qwen2", true, 0.0F)).after(tokens(40)));
  for (const std::size_t chunk : {1, 3, 17}) EXPECT_EQ(biased.after(tokens(40), chunk), expected) << chunk;
}

TEST(Decoder, NamesTheMapsOfWhatTheCacheHoldsInItsNumerics) {
  const auto format = [](const char* policy) { return *kernels::parse_quant_policy(policy); };
  Tiny plain({.architecture = "llama"});
  EXPECT_EQ(plain.numerics().find("maps"), std::string::npos);
  EXPECT_NE(plain.numerics(format("8")).find(" maps "), std::string::npos);
  EXPECT_NE(plain.numerics(format("8")), plain.numerics(format("8-nobalance")));
  // Of keys with biases, bfloat16 needs the centre.
  Tiny biased({.architecture = "qwen2"});
  EXPECT_NE(biased.numerics().find(" maps "), std::string::npos);
  EXPECT_NE(biased.numerics(), Tiny({.seed = 2, .architecture = "qwen2"}).numerics());
}

TEST(Decoder, FindsTheSameMapsOnAnyThreads) {
  for (const char* architecture : {"llama", "qwen2", "gemma2", "phi3"}) {
    const test::TinyOptions options{.architecture = architecture};
    const kernels::KvFormat format = *kernels::parse_quant_policy("4");
    const std::string expected = Tiny(options, 1).numerics(format);
    for (const std::uint32_t threads : {1U, 2U, 5U}) EXPECT_EQ(Tiny(options, threads).numerics(format), expected);
  }
}

/// A key that something was taken from changes all scores of a query alike, which is no matter but to a cap.
TEST(Decoder, TakesNothingFromKeysWhoseScoresAreCapped) {
  Tiny capped({.architecture = "gemma2"});
  capped.keep_in("4-nofirst");
  const auto centred = capped.after(tokens(40));
  capped.keep_in("4-nocentre-nofirst");
  EXPECT_EQ(capped.after(tokens(40)), centred);
  Tiny plain({.architecture = "llama"});
  plain.keep_in("4-nofirst");
  const auto other = plain.after(tokens(40));
  plain.keep_in("4-nocentre-nofirst");
  EXPECT_NE(plain.after(tokens(40)), other);
}

TEST(Decoder, RefusesAQwenWithoutItsBiases) {
  const test::TemporaryFile file(small("qwen2", true, {}).bytes());
  const auto loaded = Architecture::load(GgufFile::open(file.path()).value(), kernels::make_cpu_backend(1));
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("blk.0.attn_q.bias"), std::string::npos) << loaded.error().message;
}

}  // namespace
}  // namespace headwater::model
