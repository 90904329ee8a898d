#pragma once
// One row of logits: what a pass over it finds, and the few of its best tokens, without sorting it.
//
// Sums are made in an order fixed by position, so that a row gives the same bits whatever runs beside it.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "headwater/request.h"
#include "kernels/logit_blocks.h"

namespace headwater::model {

using kernels::kLogitBlock;  // a block whose best is too low is passed over whole

struct RowSummary {
  float best = 0;                 ///< the highest logit
  TokenId best_id = 0;            ///< of equals, the lowest
  bool usable = false;            ///< no NaN and no +infinity, and at least one finite value
  std::vector<float> block_best;  ///< [ceil(vocab / kLogitBlock)]
};
/// Fills `summary` from logits [vocab]; its memory is used again. The other fields mean nothing where not usable.
void summarise(std::span<const float> logits, RowSummary& summary);

/// The weight of a token in a draw, relative to the best token's; 0 below e^-70, and so for a masked token.
inline float weight(float logit, float best, float scale) {
  const float x = (logit - best) * scale;
  return x > -70 ? std::exp(x) : 0;
}

/// Σ exp((logit - best) * scale). `block_sums`: the share of each block; 0 or the weight of some token.
double sum_exp(std::span<const float> logits, float best, float scale, std::vector<float>& block_sums);

/// A logit that at least `n` of the row reach, and few others; -infinity where no such is known.
float bound_of_best(const RowSummary& summary, std::size_t n, std::vector<float>& scratch);

/// A token and its logit, or its weight in a draw.
struct Candidate {
  float value = 0;
  TokenId id = 0;
};
/// The higher value is better; of equals, the lower id.
inline bool better(const Candidate& a, const Candidate& b) {
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

/// The tokens with logits of at least `bound`, by id, into `out`.
void gather(std::span<const float> logits, const RowSummary& summary, float bound, std::vector<Candidate>& out);

/// The `n` best tokens with logit - log_sum, best first.
std::vector<std::pair<TokenId, float>> best_tokens(std::span<const float> logits, const RowSummary& summary,
                                                   std::size_t n, float log_sum);

}  // namespace headwater::model
