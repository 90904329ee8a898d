#pragma once
// Chooses the next token from a row of logits.
//
// A choice depends on the logits, the parameters, the sequence's own tokens and (seed, position) alone:
// the random number of a position is a hash of both, so what else runs beside a request never matters.
//
// Order: repetition, presence and frequency penalties, logit_bias and min_tokens change the logits; temperature scales
// them; top_k, then top_p of what that left, then min_p cut the tail; one token is drawn from the rest by weight. A
// temperature below 1e-5 takes the best token, of equals the lowest id. Log-probabilities are those of the model:
// softmax of the logits before any of this.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "model/logits.h"

namespace headwater::model {

/// Holds every field against its range (see SamplingParams); NaN is outside of each. `param` names the field.
Result<void> check_params(const SamplingParams& params, std::uint32_t vocab_size);

/// A chosen token, before its text is known.
struct Sampled {
  TokenId token = 0;
  float logprob = 0;                           ///< under softmax(logits)
  std::vector<std::pair<TokenId, float>> top;  ///< best first, as many as asked for
  bool bad_logits = false;                     ///< NaN, +infinity or no finite value: the request has failed
};

/// The state that sampling keeps for one sequence: scratch memory and counts of its tokens.
class Sampler {
 public:
  /// `params` must outlive the sampler. `end_tokens`: what min_tokens holds back.
  Sampler(const SamplingParams& params, std::uint64_t seed, std::span<const TokenId> end_tokens);

  /// Takes note of a token of the sequence; `generated`: not of the prompt.
  void observe(TokenId token, bool generated);

  /// Chooses the token at `position` of the sequence. `logits`: [vocab], may be overwritten.
  /// `n_generated`: tokens generated so far.
  Sampled sample(std::span<float> logits, std::uint64_t position, std::uint32_t n_generated);

 private:
  /// Whether adjust() has anything to do.
  bool adjusts(std::uint32_t n_generated) const;
  /// Penalties, biases, and end tokens that come too early.
  void adjust(std::span<float> logits, std::uint32_t n_generated) const;
  /// The logits that adjust() is about to change, if they are wanted.
  std::vector<std::pair<TokenId, float>> remember(std::span<const float> logits, bool wanted) const;
  TokenId draw(std::span<const float> logits, std::uint64_t position);
  TokenId draw_from_all(std::span<const float> logits, float scale, double u);

  const SamplingParams& params_;
  std::uint64_t seed_;
  std::vector<TokenId> end_tokens_;
  std::vector<std::pair<TokenId, std::uint32_t>> output_counts_;  ///< sorted by token
  std::vector<TokenId> seen_;                                     ///< sorted; prompt and output
  // Memory that is used again at each token.
  RowSummary summary_;
  std::vector<Candidate> candidates_, scratch_;
  std::vector<float> bounds_;
  std::vector<float> block_sums_;
};

/// log softmax(logits) at `token`, and the `n` best, without sorting the vocabulary.
Sampled score_token(std::span<const float> logits, TokenId token, std::uint32_t n);

}  // namespace headwater::model
