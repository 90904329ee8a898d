#include "model/logits.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace headwater::model {
namespace {

/// A block that weighs less has no token whose weight() is above 0, or none that could ever be drawn.
constexpr float kLightest = 64 * 4e-31F;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::size_t blocks_of(std::span<const float> logits) { return (logits.size() + kLogitBlock - 1) / kLogitBlock; }

/// Calls use(logits, first block, blocks) for the whole blocks of the row and then for its last, filled up with
/// -infinity, which changes no sum and no maximum.
template <class Use>
void for_blocks(std::span<const float> logits, const Use& use) {
  const std::size_t whole = logits.size() / kLogitBlock;
  use(logits.data(), 0, whole);
  if (whole == blocks_of(logits)) return;
  float tail[kLogitBlock];
  const auto rest = logits.subspan(whole * kLogitBlock);
  std::fill(std::copy(rest.begin(), rest.end(), tail), tail + kLogitBlock, -kInfinity);
  use(tail, whole, 1);
}

}  // namespace

void summarise(std::span<const float> logits, RowSummary& summary) {
  summary.block_best.resize(blocks_of(logits));
  bool good = true;
  for_blocks(logits, [&](const float* x, std::size_t first, std::size_t n) {
    good &= kernels::best_of_blocks(x, n, summary.block_best.data() + first);
  });
  const auto block = std::max_element(summary.block_best.begin(), summary.block_best.end());
  summary.best = block == summary.block_best.end() ? -kInfinity : *block;
  summary.usable = good && summary.best > -kInfinity;
  if (!summary.usable) return;
  const auto first = logits.begin() + (block - summary.block_best.begin()) * std::ptrdiff_t{kLogitBlock};
  summary.best_id = static_cast<TokenId>(std::find(first, logits.end(), summary.best) - logits.begin());
}

double sum_exp(std::span<const float> logits, float best, float scale, std::vector<float>& block_sums) {
  block_sums.resize(blocks_of(logits));
  for_blocks(logits, [&](const float* x, std::size_t first, std::size_t n) {
    kernels::sums_of_blocks(x, n, best, scale, block_sums.data() + first);
  });
  double total = 0;
  for (float& sum : block_sums) {
    if (sum <= kLightest) sum = 0;
    total += sum;
  }
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
