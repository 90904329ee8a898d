#include "tools/eval/perplexity.h"

#include <algorithm>
#include <cmath>

namespace headwater::eval {
namespace {

std::optional<double> mean(double sum, std::uint64_t n) {
  return n == 0 ? std::nullopt : std::optional(sum / static_cast<double>(n));
}

class Measurement {
 public:
  Measurement(Scorer& scorer, const Document& document) : scorer_(scorer), document_(document) {}

  /// `last`: what comes after the text is compared, too.
  Result<void> add(const Window& window, bool last) {
    const std::vector<TokenId> tokens = window_tokens(document_, window);
    const std::size_t before = tokens.size() - (window.end - window.begin);
    // The row before a token tells its likelihood.
    const std::size_t first = window.scored - window.begin + before - 1;
    std::vector<double> logprobs(tokens.size() - 1 - first);
    std::vector<double> top(last ? document_.top_ids.size() : 0);
    scorer_.run(tokens, first, [&](std::size_t i, std::span<const float> logits) {
      if (i + 1 < tokens.size()) {
        logprobs[i - first] = logprob(logits, tokens[i + 1]);
      } else {
        for (std::size_t k = 0; k < top.size(); ++k) top[k] = logprob(logits, document_.top_ids[k]);
      }
    });
    if (auto added = add_scores(logprobs, window.scored); !added) return added;
    return add_top(top);
  }

  const Likelihood& sums() const { return sums_; }

 private:
  Result<void> add_scores(const std::vector<double>& logprobs, std::size_t first_token) {
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
      if (std::isnan(logprobs[i])) return unusable_logits(document_, first_token + i);
      sums_.nll -= logprobs[i];
    }
    sums_.tokens += logprobs.size();
    return {};
  }

  Result<void> add_top(const std::vector<double>& top) {
    for (std::size_t i = 0; i < top.size(); ++i) {
      if (std::isnan(top[i])) return unusable_logits(document_, document_.tokens.size());
      sums_.top_difference += std::abs(top[i] - document_.top_logprobs[i]);
    }
    sums_.top_tokens += top.size();
    return {};
  }

  Scorer& scorer_;
  const Document& document_;
  Likelihood sums_;
};

}  // namespace

std::vector<TokenId> window_tokens(const Document& document, const Window& window) {
  const std::size_t before = document.bos >= 0 ? 1 : 0;
  std::vector<TokenId> tokens(before + window.end - window.begin, document.bos);
  const auto text = document.tokens.begin();
  std::copy(text + std::ptrdiff_t(window.begin), text + std::ptrdiff_t(window.end),
            tokens.begin() + std::ptrdiff_t(before));
  return tokens;
}

Error unusable_logits(const Document& document, std::size_t token) {
  return {
      ErrorCode::bad_logits,
      document.place + ": the model gave no usable logits for token " + std::to_string(token) + " (NaN or infinity)",
      ""};
}

std::vector<Window> windows(const Document& document, WindowSizes sizes, std::size_t limit) {
  const std::size_t before = document.bos >= 0 ? 1 : 0;
  const std::size_t n = document.tokens.size();
  const std::size_t length = sizes.length - before;
  const std::size_t stride = std::min<std::size_t>(sizes.stride, length);
  std::vector<Window> all;
  std::size_t scored = 0;
  for (std::size_t begin = 0; scored < n && all.size() < limit; begin += stride) {
    const std::size_t end = std::min(begin + length, n);
    // Without BOS, nothing stands before a window's first token.
    all.push_back({begin, std::max(scored, begin + 1 - before), end});
    scored = end;
  }
  return all;
}

Likelihood& Likelihood::operator+=(const Likelihood& other) {
  tokens += other.tokens;
  nll += other.nll;
  reference_tokens += other.reference_tokens;
  nll_above_reference += other.nll_above_reference;
  top_tokens += other.top_tokens;
  top_difference += other.top_difference;
  return *this;
}

std::optional<double> Likelihood::perplexity() const {
  const auto nats = mean(nll, tokens);
  return nats ? std::optional(std::exp(*nats)) : std::nullopt;
}

std::optional<double> Likelihood::ratio_to_reference() const {
  const auto nats = mean(nll_above_reference, reference_tokens);
  return nats ? std::optional(std::exp(*nats)) : std::nullopt;
}

std::optional<double> Likelihood::mean_top_difference() const { return mean(top_difference, top_tokens); }

Result<Likelihood> measure(Scorer& scorer, const Document& document, std::span<const Window> windows) {
  const bool whole = windows.size() == 1 && windows[0].end == document.tokens.size();
  Measurement measurement(scorer, document);
  for (const Window& window : windows) {
    if (auto added = measurement.add(window, whole); !added) return added.error();
  }
  Likelihood sums = measurement.sums();
  if (whole && document.mean_nll) {
    sums.reference_tokens = sums.tokens;
    sums.nll_above_reference = sums.nll - *document.mean_nll * static_cast<double>(sums.tokens);
  }
  return sums;
}

}  // namespace headwater::eval
