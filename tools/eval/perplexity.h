#pragma once
// How likely a model finds texts: each token is scored by what stands before it (teacher forcing), and the perplexity
// is exp of the mean negative log-likelihood.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "headwater/result.h"
#include "tools/eval/document.h"
#include "tools/eval/scorer.h"

namespace headwater::eval {

/// Tokens [begin, end) of a text are computed, and those from `scored` on are scored.
struct Window {
  std::size_t begin = 0;
  std::size_t scored = 0;
  std::size_t end = 0;
};

struct WindowSizes {
  std::uint32_t length = 0;  ///< tokens that are computed together, at least 2
  std::uint32_t stride = 0;  ///< tokens that the next window is further on, 1 … length
};

/// Windows over the document, of which every token but the first is scored exactly once; with a stride of a whole
/// window the first of each is not, unless the model has a BOS. A document of up to `length` tokens is one window. At
/// most `limit`.
std::vector<Window> windows(const Document& document, WindowSizes sizes, std::size_t limit = SIZE_MAX);

/// The tokens that are computed of a window, the document's BOS before them if it has one.
std::vector<TokenId> window_tokens(const Document& document, const Window& window);

/// That the model gave no usable logits for a token of the document.
Error unusable_logits(const Document& document, std::size_t token);

/// Sums over documents. The reference's cover those documents alone that have one.
struct Likelihood {
  std::uint64_t tokens = 0;
  double nll = 0;  ///< nats

  std::uint64_t reference_tokens = 0;
  double nll_above_reference = 0;

  std::uint64_t top_tokens = 0;
  double top_difference = 0;  ///< of log-probabilities, absolute

  Likelihood& operator+=(const Likelihood& other);
  std::optional<double> perplexity() const;
  std::optional<double> ratio_to_reference() const;   ///< of perplexities
  std::optional<double> mean_top_difference() const;  ///< a token
};

/// Scores the document's windows. Its reference counts where the windows reach from its beginning to its end in one.
/// Error: logits that are not usable, with the place.
Result<Likelihood> measure(Scorer& scorer, const Document& document, std::span<const Window> windows);

}  // namespace headwater::eval
