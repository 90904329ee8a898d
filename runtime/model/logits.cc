#include "model/logits.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace headwater::model {
namespace {

constexpr std::size_t kLanes = 16;
/// A block that weighs less has no token whose weight() is above 0, or none that could ever be drawn.
constexpr float kLightest = 64 * 4e-31F;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The highest of a whole block. `bad` gets to be non-zero for NaN and for +infinity.
float best_of_block(const float* x, std::int32_t& bad) {
  float best[kLanes];
  std::int32_t wrong[kLanes] = {};
  std::fill(best, best + kLanes, -kInfinity);
  for (std::size_t i = 0; i < kLogitBlock; i += kLanes) {
    for (std::size_t k = 0; k < kLanes; ++k) {
      best[k] = x[i + k] > best[k] ? x[i + k] : best[k];
      wrong[k] |= x[i + k] < kInfinity ? 0 : 1;
    }
  }
  for (std::size_t k = 1; k < kLanes; ++k) {
    best[0] = std::max(best[0], best[k]);
    wrong[0] |= wrong[k];
  }
  bad |= wrong[0];
  return best[0];
}

/// Σ exp((x - best) * scale) over a whole block.
float sum_of_block(const float* x, float best, float scale) {
  float terms[kLogitBlock];
  for (std::size_t i = 0; i < kLogitBlock; ++i) {
    const float exponent = (x[i] - best) * scale;
    terms[i] = exponent > kLowestExponent ? exponent : kLowestExponent;
  }
  for (float& term : terms) term = exp_negative(term);
  float sums[kLanes] = {};
  for (std::size_t i = 0; i < kLogitBlock; i += kLanes) {
    for (std::size_t k = 0; k < kLanes; ++k) sums[k] += terms[i + k];
  }
  for (std::size_t step = kLanes / 2; step > 0; step /= 2) {
    for (std::size_t k = 0; k < step; ++k) sums[k] += sums[k + step];
  }
  return sums[0] > kLightest ? sums[0] : 0;
}

/// Calls `use` with each block of the row; the last is filled up with -infinity, which changes no sum and no maximum.
template <class Use>
void for_each_block(std::span<const float> logits, const Use& use) {
  std::size_t at = 0;
  for (; at + kLogitBlock <= logits.size(); at += kLogitBlock) use(logits.data() + at);
  if (at == logits.size()) return;
  float tail[kLogitBlock];
  std::fill(std::copy(logits.begin() + static_cast<std::ptrdiff_t>(at), logits.end(), tail), tail + kLogitBlock,
            -kInfinity);
  use(tail);
}

}  // namespace

void summarise(std::span<const float> logits, RowSummary& summary) {
  summary.block_best.clear();
  std::int32_t bad = 0;
  for_each_block(logits, [&](const float* block) { summary.block_best.push_back(best_of_block(block, bad)); });
  const auto block = std::max_element(summary.block_best.begin(), summary.block_best.end());
  summary.best = block == summary.block_best.end() ? -kInfinity : *block;
  summary.usable = bad == 0 && summary.best > -kInfinity;
  if (!summary.usable) return;
  const auto first = logits.begin() + (block - summary.block_best.begin()) * std::ptrdiff_t{kLogitBlock};
  summary.best_id = static_cast<TokenId>(std::find(first, logits.end(), summary.best) - logits.begin());
}

double sum_exp(std::span<const float> logits, float best, float scale, std::vector<double>* block_sums) {
  if (block_sums != nullptr) block_sums->clear();
  double total = 0;
  for_each_block(logits, [&](const float* block) {
    const double sum = sum_of_block(block, best, scale);
    if (block_sums != nullptr) block_sums->push_back(sum);
    total += sum;
  });
  return total;
}

float bound_of_best(const RowSummary& summary, std::size_t n, std::vector<float>& scratch) {
  // Each block has one token that reaches its best: n blocks' bests are reached by n tokens.
  if (n == 0 || n > summary.block_best.size()) return -kInfinity;
  scratch = summary.block_best;
  const auto nth = scratch.begin() + static_cast<std::ptrdiff_t>(n - 1);
  std::nth_element(scratch.begin(), nth, scratch.end(), std::greater<>());
  return *nth;
}

void gather(std::span<const float> logits, const RowSummary& summary, float bound, std::vector<Candidate>& out) {
  out.clear();
  for (std::size_t block = 0; block < summary.block_best.size(); ++block) {
    if (summary.block_best[block] < bound) continue;
    const std::size_t end = std::min(logits.size(), (block + 1) * kLogitBlock);
    for (std::size_t i = block * kLogitBlock; i < end; ++i) {
      if (logits[i] >= bound) out.push_back({logits[i], static_cast<TokenId>(i)});
    }
  }
}

std::vector<std::pair<TokenId, float>> best_tokens(std::span<const float> logits, const RowSummary& summary,
                                                   std::size_t n, float log_sum) {
  std::vector<float> scratch;
  std::vector<Candidate> found;
  n = std::min(n, logits.size());
  if (n > 0) gather(logits, summary, bound_of_best(summary, n, scratch), found);
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(n), found.end(), better);
  std::vector<std::pair<TokenId, float>> best;
  best.reserve(n);
  for (std::size_t i = 0; i < n; ++i) best.emplace_back(found[i].id, found[i].value - log_sum);
  return best;
}

}  // namespace headwater::model
