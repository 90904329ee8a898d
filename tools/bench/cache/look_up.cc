// How long the prefix cache takes to find a prompt, and to give it back: what a request waits for before anything is
// computed, and what the stage spends on it beside.

#include <benchmark/benchmark.h>

#include <random>

#include "cache/prefix_cache.h"

namespace headwater::bench {
namespace {

using cache::PrefixCache;

constexpr std::uint32_t kBlockTokens = 32;

std::vector<TokenId> random_tokens(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 49152);
  return tokens;
}

/// A cache that is full of prompts of `tokens`, sixteen of them.
class FullCache {
 public:
  explicit FullCache(std::size_t tokens) : blocks_(tokens / kBlockTokens), cache_(options()) {
    for (unsigned i = 0; i < kPrompts; ++i) {
      prompts_.push_back(random_tokens(tokens, i));
      cache_.match(i + 1, prompts_.back(), "", true);
      const auto blocks = cache_.reclaim(static_cast<std::uint32_t>(blocks_), {});
      cache_.publish(i + 1, blocks, std::span(prompts_.back()).first(blocks_ * kBlockTokens));
      cache_.release(i + 1, blocks);
      cache_.take_touches();
    }
  }

  PrefixCache& cache() { return cache_; }
  const std::vector<TokenId>& next() { return prompts_[turn_++ % kPrompts]; }

 private:
  static constexpr unsigned kPrompts = 16;

  cache::PrefixCacheOptions options() const {
    cache::PrefixCacheOptions options;
    options.total_blocks = static_cast<std::uint32_t>(blocks_ * kPrompts);
    options.grid = kBlockTokens;
    return options;
  }

  std::size_t blocks_;
  PrefixCache cache_;
  std::vector<std::vector<TokenId>> prompts_;
  std::size_t turn_ = 0;
};

/// match() of a prompt that is cached but for its last token.
void BM_LookUp(benchmark::State& state) {
  FullCache full(static_cast<std::size_t>(state.range(0)));
  RequestId request = 1000;
  std::size_t found = 0;
  for (auto _ : state) {
    const auto& prompt = full.next();
    const auto match = full.cache().match(++request, prompt, "", true);
    found += match.cached_tokens;
    state.PauseTiming();
    full.cache().release(request, match.blocks);
    full.cache().take_touches();
    state.ResumeTiming();
  }
  state.counters["found"] = benchmark::Counter(static_cast<double>(found), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_LookUp)->ArgName("tokens")->Arg(512)->Arg(4000)->Arg(8000)->Unit(benchmark::kMicrosecond);

/// The same and what follows it when the request ends.
void BM_LookUpAndRelease(benchmark::State& state) {
  FullCache full(static_cast<std::size_t>(state.range(0)));
  RequestId request = 1000;
  for (auto _ : state) {
    const auto match = full.cache().match(++request, full.next(), "", true);
    full.cache().release(request, match.blocks);
    benchmark::DoNotOptimize(full.cache().take_touches().data());
  }
}
BENCHMARK(BM_LookUpAndRelease)->ArgName("tokens")->Arg(8000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace headwater::bench
