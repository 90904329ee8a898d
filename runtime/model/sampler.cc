#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace headwater::model {
namespace {

constexpr float kMost = std::numeric_limits<float>::max();
constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();
/// Temperatures below are greedy: their inverse would leave the range of a float.
constexpr float kCoolest = 1e-5F;

/// splitmix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

/// Uniform in [0, 1): a function of seed and position alone.
double uniform(std::uint64_t seed, std::uint64_t position) {
  return static_cast<double>(mix(mix(seed) ^ position) >> 11U) * 0x1p-53;
}

float log_sum_exp(std::span<const float> logits, const RowSummary& summary, std::vector<float>& block_sums) {
  return summary.best + static_cast<float>(std::log(sum_exp(logits, summary.best, 1, block_sums)));
}

double total_of(std::span<const Candidate> candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.value;
  return total;
}

/// Cuts `candidates` to the `n` best, and leaves them by id.
void keep_best(std::vector<Candidate>& candidates, std::size_t n, std::vector<Candidate>& scratch) {
  if (n >= candidates.size()) return;
  scratch = candidates;
  const auto last = scratch.begin() + static_cast<std::ptrdiff_t>(n - 1);
  std::nth_element(scratch.begin(), last, scratch.end(), better);
  std::erase_if(candidates, [&](const Candidate& candidate) { return better(*last, candidate); });
}

/// Cuts `candidates` to the fewest of the best that weigh `target` together, and leaves them by id. Halves the range in
/// which the last of them must be, instead of sorting it: O(n).
void keep_nucleus(std::vector<Candidate>& candidates, double target, std::vector<Candidate>& scratch) {
  scratch = candidates;
  std::size_t low = 0;  // so many of the best weigh less than the target
  std::size_t high = scratch.size();
  double weight = 0;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    const auto at = [&](std::size_t i) { return scratch.begin() + static_cast<std::ptrdiff_t>(i); };
    std::nth_element(at(low), at(middle), at(high), better);
    const double more = total_of({scratch.data() + low, middle - low});
    if (weight + more >= target) {
      high = middle;
    } else {
      weight += more;
      low = middle;
    }
  }
  const Candidate last = scratch[low];
  std::erase_if(candidates, [&](const Candidate& candidate) { return better(last, candidate); });
}

/// The candidate in whose share of the whole weight `u`, in [0, 1), falls.
TokenId draw_from(std::span<const Candidate> candidates, double u) {
  double left = u * total_of(candidates);
  for (const Candidate& candidate : candidates) {
    left -= candidate.value;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;
}

}  // namespace

Sampled score_token(std::span<const float> logits, TokenId token, std::uint32_t n) {
  Sampled scored;
  scored.token = token;
  RowSummary summary;
  summarise(logits, summary);
  scored.bad_logits = !summary.usable;
  if (scored.bad_logits) return scored;
  std::vector<float> block_sums;
  const float log_sum = log_sum_exp(logits, summary, block_sums);
  scored.logprob = logits[static_cast<std::size_t>(token)] - log_sum;
  scored.top = best_tokens(logits, summary, n, log_sum);
  return scored;
}

Sampler::Sampler(const SamplingParams& params, std::uint64_t seed, std::span<const TokenId> end_tokens)
    : params_(params), seed_(seed), end_tokens_(end_tokens.begin(), end_tokens.end()) {}

void Sampler::observe(TokenId token, bool generated) {
  if (params_.repetition_penalty != 1.0F) {
    const auto place = std::lower_bound(seen_.begin(), seen_.end(), token);
    if (place == seen_.end() || *place != token) seen_.insert(place, token);
  }
  if (!generated || (params_.presence_penalty == 0 && params_.frequency_penalty == 0)) return;
  const auto place = std::lower_bound(output_counts_.begin(), output_counts_.end(), std::pair{token, 0U});
  if (place != output_counts_.end() && place->first == token) {
    ++place->second;
  } else {
    output_counts_.insert(place, {token, 1U});
  }
}

bool Sampler::adjusts(std::uint32_t n_generated) const {
  return !seen_.empty() || !output_counts_.empty() || !params_.logit_bias.empty() || n_generated < params_.min_tokens;
}

void Sampler::adjust(std::span<float> logits, std::uint32_t n_generated) const {
  for (TokenId id : seen_) {
    float& logit = logits[static_cast<std::size_t>(id)];
    // A penalty near 0 must not make a logit infinite.
    logit = logit > 0 ? std::min(logit / params_.repetition_penalty, kMost) : logit * params_.repetition_penalty;
  }
  for (const auto& [id, count] : output_counts_) {
    logits[static_cast<std::size_t>(id)] -=
        params_.presence_penalty + params_.frequency_penalty * static_cast<float>(count);
  }
  for (const auto& [id, bias] : params_.logit_bias) logits[static_cast<std::size_t>(id)] += bias;
  if (n_generated < params_.min_tokens) {
    for (TokenId id : end_tokens_) logits[static_cast<std::size_t>(id)] = kNegativeInfinity;
    for (TokenId id : params_.stop_token_ids) logits[static_cast<std::size_t>(id)] = kNegativeInfinity;
  }
}

TokenId Sampler::draw(std::span<const float> logits, std::uint64_t position) {
  const double u = uniform(seed_, position);
  const float scale = 1 / params_.temperature;
  const bool top_k = params_.top_k > 0 && params_.top_k < logits.size();
  const bool top_p = params_.top_p < 1;
  if (!top_k && !top_p && params_.min_p <= 0) return draw_from_all(logits, scale, u);

  // What cannot be among the chosen is left out before anything is compared: below the best blocks' bests, or together
  // too light to matter for top_p, or clearly lighter than min_p.
  double total = 0;
  float bound = kNegativeInfinity;
  if (top_k) {
    bound = bound_of_best(summary_, params_.top_k, bounds_);
  } else {
    double lightest = params_.min_p;
    if (top_p) {
      total = sum_exp(logits, summary_.best, scale, block_sums_);
      lightest = std::max(lightest, (1.0 - params_.top_p) * total / static_cast<double>(logits.size()));
    }
    const double depth = std::log(lightest) / scale;
    bound = static_cast<float>(summary_.best + depth - 1e-3 * (1 + std::abs(depth) + std::abs(summary_.best)));
  }
  gather(logits, summary_, bound, candidates_);
  if (top_k) keep_best(candidates_, params_.top_k, scratch_);
  for (Candidate& candidate : candidates_) candidate.value = weight(candidate.value, summary_.best, scale);
  if (top_k) total = total_of(candidates_);
  if (top_p) keep_nucleus(candidates_, total * params_.top_p, scratch_);
  const float least = params_.min_p;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.value < least || c.value <= 0; });
  return draw_from(candidates_, u);
}

TokenId Sampler::draw_from_all(std::span<const float> logits, float scale, double u) {
  double left = u * sum_exp(logits, summary_.best, scale, block_sums_);
  std::size_t block = 0;  // the last with any weight, should rounding carry the walk past the end
  for (std::size_t i = 0; i < block_sums_.size(); ++i) {
    if (block_sums_[i] > 0) block = i;
    if (left < block_sums_[i]) break;
    left -= block_sums_[i];
  }
  candidates_.clear();
  for (std::size_t i = block * kLogitBlock; i < std::min(logits.size(), (block + 1) * kLogitBlock); ++i) {
    const float value = weight(logits[i], summary_.best, scale);
    if (value > 0) candidates_.push_back({value, static_cast<TokenId>(i)});
  }
  return draw_from(candidates_, std::min(left / block_sums_[block], 1.0));
}

Sampled Sampler::sample(std::span<float> logits, std::uint64_t position, std::uint32_t n_generated) {
  Sampled sampled;
  summarise(logits, summary_);
  sampled.bad_logits = !summary_.usable;
  if (sampled.bad_logits) return sampled;
  const bool scored = params_.logprobs.has_value();
  const float log_sum = scored ? log_sum_exp(logits, summary_, block_sums_) : 0;
  if (scored) sampled.top = best_tokens(logits, summary_, *params_.logprobs, log_sum);

  std::vector<std::pair<TokenId, float>> originals;
  if (adjusts(n_generated)) {
    originals = remember(logits, scored);
    adjust(logits, n_generated);
    summarise(logits, summary_);
    sampled.bad_logits = !summary_.usable;
    if (sampled.bad_logits) return sampled;
  }
  sampled.token = params_.temperature < kCoolest ? summary_.best_id : draw(logits, position);
  if (scored) {
    float logit = logits[static_cast<std::size_t>(sampled.token)];
    for (const auto& [id, original] : originals) {
      if (id == sampled.token) logit = original;
    }
    sampled.logprob = logit - log_sum;
  }
  return sampled;
}

std::vector<std::pair<TokenId, float>> Sampler::remember(std::span<const float> logits, bool wanted) const {
  std::vector<std::pair<TokenId, float>> originals;
  if (!wanted) return originals;
  const auto keep = [&](TokenId id) { originals.emplace_back(id, logits[static_cast<std::size_t>(id)]); };
  for (TokenId id : seen_) keep(id);
  for (const auto& [id, count] : output_counts_) keep(id);
  for (const auto& [id, bias] : params_.logit_bias) keep(id);
  return originals;
}

}  // namespace headwater::model
