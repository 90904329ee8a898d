#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxStopBytes = 256;
constexpr std::size_t kMaxStopTokens = 64;
constexpr std::size_t kMaxBiases = 1024;
constexpr std::uint32_t kMaxTokens = 1'000'000;
constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

Error bad(const std::string& field, const std::string& what) { return {"invalid_request", field + " " + what, field}; }

/// NaN is outside of every range.
Result<void> check_range(const char* field, float value, float low, float high, bool low_is_open = false) {
  const bool inside = low_is_open ? value > low && value <= high : value >= low && value <= high;
  if (inside) return {};
  const auto number = [](float x) {
    std::string text = std::to_string(x);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  };
  return bad(field, "is " + number(value) + "; it must be " + (low_is_open ? "greater than " : "at least ") +
                        number(low) + " and at most " + number(high));
}

Result<void> check_stops(const SamplingParams& params, std::uint32_t vocab_size) {
  if (params.stop.size() > kMaxStops) return bad("stop", "has more than 16 strings");
  for (const std::string& stop : params.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) return bad("stop", "has a string that is not 1 to 256 bytes long");
    if (!valid_utf8(stop)) return bad("stop", "has a string that is not valid UTF-8");
  }
  if (params.stop_token_ids.size() > kMaxStopTokens) return bad("stop_token_ids", "has more than 64 ids");
  for (TokenId id : params.stop_token_ids) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= vocab_size) {
      return bad("stop_token_ids", "has the id " + std::to_string(id) + ", which is not in the vocabulary");
    }
  }
  return {};
}

Result<void> check_lengths(const SamplingParams& params) {
  if (params.max_tokens) {
    const bool scoring = *params.max_tokens == 0 && params.prompt_logprobs.has_value();
    if ((*params.max_tokens == 0 && !scoring) || *params.max_tokens > kMaxTokens) {
      return bad("max_tokens",
                 "is " + std::to_string(*params.max_tokens) +
                     "; it must be at least 1 and at most 1000000 (0 only to score a prompt with logprobs)");
    }
    if (params.min_tokens > *params.max_tokens) return bad("min_tokens", "is greater than max_tokens");
  }
  if (params.min_tokens > kMaxTokens) return bad("min_tokens", "is greater than 1000000");
  if (params.logprobs.value_or(0) > kMaxLogprobs) return bad("logprobs", "is greater than 20");
  if (params.prompt_logprobs.value_or(0) > kMaxLogprobs) return bad("prompt_logprobs", "is greater than 20");
  return {};
}

Result<void> check_biases(const SamplingParams& params, std::uint32_t vocab_size) {
  if (params.logit_bias.size() > kMaxBiases) return bad("logit_bias", "has more than 1024 entries");
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= vocab_size) {
      return bad("logit_bias", "has the id " + std::to_string(id) + ", which is not in the vocabulary");
    }
    if (!(bias >= -100 && bias <= 100)) return bad("logit_bias", "has a value outside of -100 … 100");
  }
  return {};
}

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

/// log of the sum of exp(logits), which is what log-probabilities are measured from; NaN if any logit is.
float log_sum_exp(std::span<const float> logits, float best) {
  // Eight partial sums, so that the compiler can use vectors; their order is fixed.
  float sums[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= logits.size(); i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sums[k] += std::exp(logits[i + k] - best);
  }
  for (; i < logits.size(); ++i) sums[0] += std::exp(logits[i] - best);
  float sum = 0;
  for (float part : sums) sum += part;
  return best + std::log(sum);
}

std::size_t best_of(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// Better logit first; of equals, the lower id.
bool better(const std::pair<float, TokenId>& a, const std::pair<float, TokenId>& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

std::vector<std::pair<TokenId, float>> best_n(std::span<const float> logits, std::uint32_t n, float log_sum) {
  std::vector<std::pair<float, TokenId>> heap;  // the worst of the best n is in front
  for (std::size_t i = 0; i < logits.size() && n > 0; ++i) {
    const std::pair<float, TokenId> candidate{logits[i], static_cast<TokenId>(i)};
    if (heap.size() == n && !better(candidate, heap.front())) continue;
    if (heap.size() == n) {
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.pop_back();
    }
    heap.push_back(candidate);
    std::push_heap(heap.begin(), heap.end(), better);
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  std::vector<std::pair<TokenId, float>> top;
  for (const auto& [logit, id] : heap) top.emplace_back(id, logit - log_sum);
  return top;
}

bool has_nan_or_no_finite(std::span<const float> logits) {
  bool nan = false;
  bool finite = false;
  for (float logit : logits) {
    nan |= std::isnan(logit) || logit == std::numeric_limits<float>::infinity();
    finite |= std::isfinite(logit);
  }
  return nan || !finite;
}

}  // namespace

Result<void> check_params(const SamplingParams& params, std::uint32_t vocab_size) {
  for (const Result<void>& checked :
       {check_range("temperature", params.temperature, 0, 100), check_range("top_p", params.top_p, 0, 1, true),
        check_range("min_p", params.min_p, 0, 1),
        check_range("repetition_penalty", params.repetition_penalty, 0, 10, true),
        check_range("presence_penalty", params.presence_penalty, -2, 2),
        check_range("frequency_penalty", params.frequency_penalty, -2, 2), check_lengths(params),
        check_biases(params, vocab_size), check_stops(params, vocab_size)}) {
    if (!checked) return checked;
  }
  return {};
}

Sampled score_token(std::span<const float> logits, TokenId token, std::uint32_t n) {
  Sampled scored;
  scored.token = token;
  if (has_nan_or_no_finite(logits)) {
    scored.bad_logits = true;
    return scored;
  }
  const float log_sum = log_sum_exp(logits, logits[best_of(logits)]);
  scored.logprob = logits[static_cast<std::size_t>(token)] - log_sum;
  scored.top = best_n(logits, n, log_sum);
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

void Sampler::adjust(std::span<float> logits, std::uint32_t n_generated) const {
  for (TokenId id : seen_) {
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
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
  const float best = logits[best_of(logits)];
  auto& candidates = scratch_;  // (weight relative to the best, id)
  candidates.clear();
  // min_p and far tails are cut before anything is sorted: e^-30 is below what a float sum would notice.
  const float cut = std::max(params_.min_p, 1e-13F);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float weight = std::exp((logits[i] - best) / params_.temperature);
    if (weight >= cut) candidates.emplace_back(weight, static_cast<TokenId>(i));
  }
  if (params_.top_k > 0 && params_.top_k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + params_.top_k, candidates.end(), better);
    candidates.resize(params_.top_k);
  }
  std::sort(candidates.begin(), candidates.end(), better);
  double total = 0;
  for (const auto& [weight, id] : candidates) total += weight;
  double kept = total;
  if (params_.top_p < 1) {
    kept = 0;
    std::size_t n = 0;
    while (n < candidates.size() && kept < total * params_.top_p) kept += candidates[n++].first;
    candidates.resize(std::max<std::size_t>(n, 1));
    kept = std::max(kept, double{candidates.front().first});
  }
  double left = uniform(seed_, position) * kept;
  for (const auto& [weight, id] : candidates) {
    left -= weight;
    if (left < 0) return id;
  }
  return candidates.back().second;
}

Sampled Sampler::sample(std::span<float> logits, std::uint64_t position, std::uint32_t n_generated) {
  Sampled sampled;
  if (has_nan_or_no_finite(logits)) {
    sampled.bad_logits = true;
    return sampled;
  }
  const bool scored = params_.logprobs.has_value();
  const float log_sum = scored ? log_sum_exp(logits, logits[best_of(logits)]) : 0;
  if (scored) sampled.top = best_n(logits, *params_.logprobs, log_sum);

  const std::vector<std::pair<TokenId, float>> originals = remember(logits, scored);
  adjust(logits, n_generated);
  const std::size_t best = best_of(logits);
  if (!(logits[best] > kNegativeInfinity)) {
    sampled.bad_logits = true;
    return sampled;
  }
  sampled.token = params_.temperature == 0 ? static_cast<TokenId>(best) : draw(logits, position);
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
