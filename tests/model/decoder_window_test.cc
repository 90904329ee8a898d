// Decoders with layers that see a window, and what of their cache can be given back.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

constexpr std::uint32_t kBlockTokens = 16;
constexpr std::uint32_t kWindow = 24;
constexpr std::uint32_t kTokens = 110;

kernels::KvFormat format_of(const char* policy) {
  const auto format = kernels::parse_quant_policy(policy);
  if (!format) throw std::invalid_argument(policy);
  return *format;
}

/// A sequence of kTokens in blocks of its own, given to a model in chunks.
class Walk {
 public:
  Walk(const std::string& architecture, const char* policy) {
    const test::TemporaryFile file(test::tiny_llama({.architecture = architecture, .window = kWindow}).bytes());
    model_ = Architecture::load(GgufFile::open(file.path()).value(), kernels::make_cpu_backend(1)).value();
    grid_ = kernels::block_grid(format_of(policy), kBlockTokens);
    model_->allocate_kv(grid_.covering(kTokens), kBlockTokens, format_of(policy));
    table_.resize(grid_.covering(kTokens));
    std::iota(table_.rbegin(), table_.rend(), 0);
    for (std::uint32_t i = 0; i < kTokens; ++i) tokens_.push_back(static_cast<TokenId>((i * 37 + 11) % 250));
  }

  /// Logits of the row before `end`, after the chunk [at, end).
  std::vector<float> step(std::uint32_t at, std::uint32_t end) {
    const BatchSequence sequence{0, end - at, at, table_};
    const std::uint32_t rows[] = {end - at - 1};
    const auto got = model_->forward({std::span(tokens_).subspan(at, end - at), {&sequence, 1}, rows});
    return {got.begin(), got.end()};
  }
  /// The first `n` blocks, in the layers that see a window, or whole.
  void give_back(std::size_t n, bool whole) {
    const auto blocks = std::span<const std::int32_t>(table_).first(n);
    const std::span<const std::int32_t> none;
    whole ? model_->give_back_kv(blocks, none) : model_->give_back_kv(none, blocks);
  }
  const ModelShape& shape() const { return model_->shape(); }
  /// Blocks that no row from `position` on sees in a window.
  std::size_t blocks_before(std::uint32_t position) const {
    return position < kWindow ? 0 : grid_.block_of(position + 1 - kWindow);
  }

 private:
  kernels::BlockGrid grid_;
  std::unique_ptr<Architecture> model_;
  std::vector<std::int32_t> table_;
  std::vector<TokenId> tokens_;
};

TEST(DecoderWindow, LayersSayWhatTheyKeep) {
  const Walk some("gemma3", "0");
  ASSERT_EQ(some.shape().kv_layers.size(), some.shape().n_layers);
  EXPECT_TRUE(some.shape().kv_layers[0].windowed);
  EXPECT_FALSE(some.shape().kv_layers[1].windowed);
  EXPECT_EQ(some.shape().kv_layers[1].n_kv_heads, some.shape().n_kv_heads);
  EXPECT_EQ(some.shape().kv_layers[1].head_dim, some.shape().head_dim);
  EXPECT_EQ(some.shape().kv_window, kWindow);
  const Walk all("phi3", "0");
  EXPECT_TRUE(std::ranges::all_of(all.shape().kv_layers, &kernels::KvLayer::windowed));
  const Walk none("qwen3", "0");
  EXPECT_TRUE(std::ranges::none_of(none.shape().kv_layers, &kernels::KvLayer::windowed));
  EXPECT_EQ(none.shape().kv_window, 0U);
}

TEST(DecoderWindow, AnswersTheSameBitForBitWhereBlocksBeforeItWereGivenBack) {
  for (const std::string architecture : {"gemma3", "gemma2", "phi3"}) {
    const bool whole = architecture == "phi3";  // every layer sees the window alone
    for (const char* policy : {"0", "8", "4"}) {
      for (const std::uint32_t chunk : {1U, 7U, 64U}) {
        Walk keeps(architecture, policy);
        Walk gives(architecture, policy);
        for (std::uint32_t at = 0; at < kTokens; at += chunk) {
          const std::uint32_t end = std::min(at + chunk, kTokens);
          gives.give_back(gives.blocks_before(at), whole);
          ASSERT_EQ(gives.step(at, end), keeps.step(at, end))
              << architecture << ", " << policy << ", in chunks of " << chunk << ", up to " << end;
        }
      }
    }
  }
}

TEST(DecoderWindow, AnswersOtherwiseWhereABlockWithinItWasGivenBack) {
  for (const char* policy : {"0", "8"}) {
    Walk keeps("gemma3", policy);
    Walk gives("gemma3", policy);
    EXPECT_EQ(gives.step(0, 100), keeps.step(0, 100));
    gives.give_back(gives.blocks_before(100) + 1, false);
    EXPECT_NE(gives.step(100, 101), keeps.step(100, 101)) << policy;
  }
}

}  // namespace
}  // namespace headwater::model
