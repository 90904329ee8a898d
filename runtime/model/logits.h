#pragma once
// One row of logits: what a pass over it finds, and the few of its best tokens, without sorting it.
//
// Sums are made in an order fixed by position, so that a row gives the same bits whatever runs beside it.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "headwater/request.h"

namespace headwater::model {

/// Logits that are looked at together: a block whose best is too low is passed over whole.
inline constexpr std::size_t kLogitBlock = 64;

struct RowSummary {
  float best = 0;                 ///< the highest logit
  TokenId best_id = 0;            ///< of equals, the lowest
  bool usable = false;            ///< no NaN and no +infinity, and at least one finite value
  std::vector<float> block_best;  ///< [ceil(vocab / kLogitBlock)]
};
/// Fills `summary` from logits [vocab]; its memory is used again. The other fields mean nothing where not usable.
void summarise(std::span<const float> logits, RowSummary& summary);

/// Below this, exp_negative() has no result.
inline constexpr float kLowestExponent = -87;

/// exp(x) for kLowestExponent ≤ x ≤ 0, to 2e-7 of its value. Without a branch, so that the compiler can use vectors.
inline float exp_negative(float x) {
  // x = n·ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5 · 2^23 rounds to a whole number and leaves it in the low bits.
  // exp(r): Cephes' polynomial for single precision. Source: Moshier, Cephes, expf.c, 1992.
  constexpr float kRound = 12582912;
  const float shifted = x * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float value = p * r * r + r + 1;
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound) + 127;
  return value * std::bit_cast<float>(exponent << 23);
}

/// The weight of a token in a draw, relative to the best token's; 0 below e^-70, and so for a masked token.
inline float weight(float logit, float best, float scale) {
  const float x = (logit - best) * scale;
  return x > -70 ? exp_negative(x) : 0;
}

/// Σ exp((logit - best) * scale). `block_sums`: the share of each block, if not null; 0 or the weight of some token.
double sum_exp(std::span<const float> logits, float best, float scale, std::vector<double>* block_sums = nullptr);

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
