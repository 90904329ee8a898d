#include "tools/eval/scorer.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "model/sampler.h"

namespace headwater::eval {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
/// Rows of logits are as wide as the vocabulary, so that few are held at a time.
constexpr std::size_t kChunk = 256;

}  // namespace

double logprob(std::span<const float> logits, TokenId token) {
  const model::Sampled scored = model::score_token(logits, token, 0);
  return scored.bad_logits ? std::numeric_limits<double>::quiet_NaN() : scored.logprob;
}

Scorer::Scorer(model::Architecture& model, std::function<void(std::size_t)> on_computed)
    : model_(model), on_computed_(std::move(on_computed)) {}

void Scorer::reset(const QuantPolicy& policy, std::size_t max_tokens) {
  grid_ = kernels::block_grid(policy.format, kBlockTokens);
  table_.resize(grid_.block_of(static_cast<std::uint32_t>(max_tokens)) + 1);
  std::iota(table_.begin(), table_.end(), 0);
  filled_.clear();
  model_.allocate_kv(static_cast<std::uint32_t>(table_.size()), kBlockTokens, policy.format);
}

void Scorer::run(std::span<const TokenId> tokens, std::size_t first_shown, const LookAtRow& look) {
  if (tokens.size() > grid_.begin(static_cast<std::uint32_t>(table_.size())))
    throw std::logic_error("the sequence is longer than its cache");
  const std::size_t same = static_cast<std::size_t>(std::ranges::mismatch(tokens, filled_).in1 - tokens.begin());
  std::size_t at = grid_.begin(grid_.block_of(static_cast<std::uint32_t>(std::min(same, first_shown))));
  filled_.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(at));
  while (at < tokens.size()) {
    const auto chunk = tokens.subspan(at, std::min(kChunk, tokens.size() - at));
    run_chunk(chunk, at, first_shown, look);
    filled_.insert(filled_.end(), chunk.begin(), chunk.end());
    at += chunk.size();
  }
}

void Scorer::run_chunk(std::span<const TokenId> tokens, std::size_t first, std::size_t first_shown,
                       const LookAtRow& look) {
  const auto n = static_cast<std::uint32_t>(tokens.size());
  const auto skipped = static_cast<std::uint32_t>(std::min(tokens.size(), first_shown - std::min(first, first_shown)));
  std::vector<std::uint32_t> shown(n - skipped);
  std::iota(shown.begin(), shown.end(), skipped);
  const model::BatchSequence rows[] = {{0, n, static_cast<std::uint32_t>(first), table_}};
  const std::span<const float> logits = model_.forward({tokens, rows, shown});
  const std::size_t vocab = model_.shape().vocab_size;
  model_.run_on_host(shown.size(), [&](std::size_t i) { look(first + skipped + i, logits.subspan(i * vocab, vocab)); });
  computed_ += n;
  if (on_computed_) on_computed_(n);
}

}  // namespace headwater::eval
