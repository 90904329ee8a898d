#pragma once
// How far a model's next-token distributions are from another's over the same texts: the Kullback-Leibler divergence
// of each token from a base, in nats, and whether both find the same token likeliest.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "headwater/result.h"
#include "tools/eval/document.h"
#include "tools/eval/perplexity.h"
#include "tools/eval/scorer.h"

namespace headwater::eval {

/// What two models say of one token.
struct Divergence {
  double kl = 0;          ///< Σ p · (log p - log q), at least 0; NaN where logits are not usable
  bool same_top = false;  ///< the likeliest token of both; of equals, the first
};
/// base, other: logits [vocab], of p and of q.
Divergence divergence(std::span<const float> base, std::span<const float> other);

/// What came of all tokens.
class KlTally {
 public:
  void add(const Divergence& divergence);

  std::size_t tokens() const { return values_.size(); }
  std::optional<double> mean() const;
  /// share: 0 … 1; 0.5 is the median, 1 the greatest. The least value that so many are not above.
  std::optional<double> percentile(double share) const;
  std::optional<double> same_top() const;  ///< share of tokens

 private:
  mutable std::vector<double> values_;
  mutable bool sorted_ = false;
  double sum_ = 0;
  std::size_t same_ = 0;
};

/// Runs both models over the document's windows, some tokens at a time, so that logits of a few rows are all that is
/// kept. on_tokens is told of tokens that both have computed. REQUIRES: both scorers have room for a window, and the
/// models one vocabulary. Error: logits that are not usable, with the place.
Result<void> compare(Scorer& base, Scorer& other, const Document& document, std::span<const Window> windows,
                     KlTally& tally, const std::function<void(std::size_t)>& on_tokens = {});

}  // namespace headwater::eval
