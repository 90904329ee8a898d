#pragma once
// A tokenizer of bytes, and models whose log-probabilities can be worked out by hand.

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "model/architecture.h"
#include "model/tokenizer.h"
#include "tests/support/fake_model.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::eval {

/// Cuts text into bytes, but for a few merges; with `bos`, every text begins with the BOS.
inline std::shared_ptr<const model::Tokenizer> byte_tokenizer(bool bos = false) {
  test::GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  test::add_tiny_tokenizer(writer);
  if (bos) writer.add_bool("tokenizer.ggml.add_bos_token", true);
  const test::TemporaryFile file(writer.bytes());
  return model::Tokenizer::load(**model::GgufFile::open(file.path())).value();
}

/// Its logits after a sequence are 20 at one letter, which a hash of the whole sequence chooses, and 0 elsewhere.
struct HashModel : test::FakeModel {
  explicit HashModel(std::uint32_t context = 4096)
      : FakeModel(static_cast<std::uint32_t>(test::tiny_tokens().size()), context) {}

  /// By hand: of `token` after `before`.
  double logprob(std::span<const TokenId> before, TokenId token) const {
    const double log_sum = std::log(std::exp(20.0) + static_cast<double>(shape().vocab_size - 1));
    return (next(before) == token ? 20.0 : 0.0) - log_sum;
  }
  /// By hand: the sum over tokens [first, n) of a text.
  double nll(std::span<const TokenId> tokens, std::size_t first) const {
    double sum = 0;
    for (std::size_t i = first; i < tokens.size(); ++i) sum -= logprob(tokens.first(i), tokens[i]);
    return sum;
  }
};

/// Its logits after each token are those of a table, which knows nothing of what stands before.
class TableModel : public model::Architecture {
 public:
  TableModel(std::uint32_t vocab_size, std::vector<std::vector<float>> rows) : rows_(std::move(rows)) {
    shape_.vocab_size = vocab_size;
    shape_.context_length = 4096;
  }
  const model::ModelShape& shape() const override { return shape_; }
  std::string numerics(const kernels::KvFormat& /*format*/) override { return "test"; }
  kernels::KvBlockBytes kv_block_bytes(std::uint32_t, const kernels::KvFormat&) const override { return {1, 0}; }
  void allocate_kv(std::uint32_t, std::uint32_t, const kernels::KvFormat&) override {}
  void give_back_kv(std::span<const std::int32_t>, std::span<const std::int32_t>) override {}
  void copy_kv_block(std::int32_t, std::int32_t) override {}
  void read_kv_block(std::int32_t, std::span<std::byte>) const override {}
  void write_kv_block(std::int32_t, std::span<const std::byte>) override {}
  std::span<float> forward(const model::Batch& batch) override {
    logits_.clear();
    for (const std::uint32_t row : batch.logit_rows) {
      const auto& logits = rows_[static_cast<std::size_t>(batch.tokens[row]) % rows_.size()];
      logits_.insert(logits_.end(), logits.begin(), logits.end());
      logits_.resize(logits_.size() + shape_.vocab_size - logits.size(), -std::numeric_limits<float>::infinity());
    }
    return logits_;
  }
  void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) override {
    for (std::size_t i = 0; i < n; ++i) work(i);
  }

 private:
  model::ModelShape shape_;
  std::vector<std::vector<float>> rows_;  ///< [token % rows][vocab]
  std::vector<float> logits_;
};

}  // namespace headwater::eval
