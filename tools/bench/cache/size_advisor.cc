// What the advice on the cache's size costs the prefix matcher for each block of a prompt, by policy and capacity.
// Three of four prompts are new, so that blocks are given up all the time.

#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "cache/size_advisor.h"

namespace headwater::bench {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
constexpr std::size_t kPromptBlocks = 64;

void BM_Advise(benchmark::State& state, const std::string& policy) {
  const auto capacity = static_cast<std::uint32_t>(state.range(0));
  cache::SizeAdvisor advisor(capacity, kBlockTokens, policy);
  const cache::Key root{};
  std::mt19937 random(1);
  std::vector<std::vector<TokenId>> asked;
  for (auto _ : state) {
    state.PauseTiming();
    if (asked.empty() || random() % 4 > 0) {
      asked.emplace_back();
      while (asked.back().size() <= kPromptBlocks * kBlockTokens)
        asked.back().push_back(static_cast<TokenId>(random() % 49152));
    }
    const auto& prompt = asked[asked.size() - 1 - random() % std::min<std::size_t>(asked.size(), 200)];
    state.ResumeTiming();
    advisor.look_up(root, prompt);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPromptBlocks));
}
BENCHMARK_CAPTURE(BM_Advise, lru, "lru")->Arg(1024)->Arg(65536)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Advise, adaptive, "adaptive")->Arg(1024)->Arg(65536)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace headwater::bench
