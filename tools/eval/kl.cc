#include "tools/eval/kl.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace headwater::eval {
namespace {

/// Tokens that both models compute in turns: a multiple of what a cache's block holds.
constexpr std::size_t kStep = 128;

/// log Σ exp.
double log_sum(std::span<const float> logits, double most) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return most + std::log(sum);
}

}  // namespace

Divergence divergence(std::span<const float> base, std::span<const float> other) {
  const auto top = std::ranges::max_element(base);
  const auto other_top = std::ranges::max_element(other);
  const double of_base = log_sum(base, *top);
  const double of_other = log_sum(other, *other_top);
  double kl = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    const double log_p = static_cast<double>(base[i]) - of_base;
    const double p = std::exp(log_p);
    if (p != 0) kl += p * (log_p - (static_cast<double>(other[i]) - of_other));
  }
  if (!std::isfinite(kl)) return {std::numeric_limits<double>::quiet_NaN(), false};
  return {std::max(kl, 0.0), top - base.begin() == other_top - other.begin()};
}

void KlTally::add(const Divergence& divergence) {
  values_.push_back(divergence.kl);
  sorted_ = false;
  sum_ += divergence.kl;
  same_ += divergence.same_top ? 1 : 0;
}

std::optional<double> KlTally::mean() const {
  return values_.empty() ? std::nullopt : std::optional(sum_ / static_cast<double>(values_.size()));
}

std::optional<double> KlTally::percentile(double share) const {
  if (values_.empty()) return std::nullopt;
  if (!sorted_) std::ranges::sort(values_);
  sorted_ = true;
  const double rank = std::ceil(share * static_cast<double>(values_.size()));
  return values_[static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(values_.size()))) - 1];
}

std::optional<double> KlTally::same_top() const {
  return values_.empty() ? std::nullopt
                         : std::optional(static_cast<double>(same_) / static_cast<double>(values_.size()));
}

Result<void> compare(Scorer& base, Scorer& other, const Document& document, std::span<const Window> windows,
                     KlTally& tally, const std::function<void(std::size_t)>& on_tokens) {
  std::vector<float> kept;
  for (const Window& window : windows) {
    const std::vector<TokenId> tokens = window_tokens(document, window);
    const std::size_t before = tokens.size() - (window.end - window.begin);
    // The row before a token tells its distribution; what comes after the last is nobody's.
    const std::size_t first = window.scored - window.begin + before - 1;
    for (std::size_t at = 0; at + 1 < tokens.size(); at += kStep) {
      const std::size_t end = std::min(at + kStep, tokens.size() - 1);
      const std::size_t shown = std::max(at, std::min(first, end));
      const auto so_far = std::span(tokens).first(end);
      std::vector<Divergence> found(end - shown);
      kept.resize(found.size() * base.vocab_size());
      base.run(so_far, shown, [&](std::size_t i, std::span<const float> logits) {
        std::ranges::copy(logits, kept.begin() + static_cast<std::ptrdiff_t>((i - shown) * logits.size()));
      });
      other.run(so_far, shown, [&](std::size_t i, std::span<const float> logits) {
        found[i - shown] = divergence(std::span(kept).subspan((i - shown) * logits.size(), logits.size()), logits);
      });
      for (std::size_t i = 0; i < found.size(); ++i) {
        if (std::isnan(found[i].kl)) return unusable_logits(document, window.begin + shown + i + 1 - before);
        tally.add(found[i]);
      }
      if (on_tokens) on_tokens(end - at);
    }
  }
  return {};
}

}  // namespace headwater::eval
