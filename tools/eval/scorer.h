#pragma once
// Runs sequences through a model and shows the logits after their tokens: prefill in chunks, through blocks of the KV
// cache, as the server's executor does it. What one chunk needs is all the memory that it takes, however long a
// sequence.
//
// Threading: one caller at a time, that of the model.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/block_grid.h"
#include "model/architecture.h"
#include "tools/eval/quant_policy.h"

namespace headwater::eval {

/// Takes the logits after token `index` of a sequence, [vocab]. Called side by side; must not throw.
using LookAtRow = std::function<void(std::size_t index, std::span<const float> logits)>;

/// log softmax(logits) at `token`; NaN where the logits are not usable.
double logprob(std::span<const float> logits, TokenId token);

class Scorer {
 public:
  /// `on_computed` is told how many tokens a chunk had. `model` must outlive the scorer.
  explicit Scorer(model::Architecture& model, std::function<void(std::size_t)> on_computed = {});

  /// Empties the cache and makes room for sequences of `max_tokens`, stored by `policy`.
  void reset(const QuantPolicy& policy, std::size_t max_tokens);

  /// Computes a sequence from position 0 on and shows the logits after each token from index `first_shown` on. Leading
  /// blocks that the sequence before has filled with the same tokens are used again, as the server's cache does.
  /// REQUIRES: reset() made room, and the ids are those of the model's vocabulary.
  void run(std::span<const TokenId> tokens, std::size_t first_shown, const LookAtRow& look);

  std::size_t vocab_size() const { return model_.shape().vocab_size; }
  std::uint64_t computed() const { return computed_; }  ///< tokens since the scorer was made

 private:
  void run_chunk(std::span<const TokenId> tokens, std::size_t first, std::size_t first_shown, const LookAtRow& look);

  model::Architecture& model_;
  std::function<void(std::size_t)> on_computed_;
  kernels::BlockGrid grid_;
  std::vector<std::int32_t> table_;  ///< block table of the one sequence
  std::vector<TokenId> filled_;      ///< tokens whose keys and values the cache holds, by position
  std::uint64_t computed_ = 0;
};

}  // namespace headwater::eval
