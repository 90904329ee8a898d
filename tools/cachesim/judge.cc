#include "tools/cachesim/judge.h"

#include <algorithm>
#include <vector>

#include "cache/eviction_policy.h"
#include "cache/lru_guard.h"
#include "cache/miniature_cache.h"

namespace headwater::cachesim {

std::uint64_t key_of(TokenId block) {
  std::uint64_t key = (static_cast<std::uint64_t>(block) + 1) * 0x9E3779B97F4A7C15ULL;
  key = (key ^ key >> 29U) * 0xBF58476D1CE4E5B9ULL;
  return key ^ key >> 32U;
}

double hit_rate(const Trace& trace, std::string_view policy, std::uint32_t capacity) {
  cache::MiniatureCache cache(cache::make_policy(policy, capacity).value(), capacity);
  std::uint64_t hits = 0;
  std::vector<std::uint64_t> keys;
  for (const TraceRequest& request : trace.requests) {
    keys.clear();
    for (const TokenId block : request.blocks) keys.push_back(key_of(block));
    hits += cache.serve(keys);
  }
  return static_cast<double>(hits) / static_cast<double>(trace.total_blocks);
}

double Verdict::best_simple() const { return std::max({lru, fifo, lfu}); }

double Verdict::above_law() const {
  using cache::LruGuard;
  const double ahead = (adaptive - (1 - LruGuard::kShare) * lru) * static_cast<double>(blocks);
  return ahead + (LruGuard::kAdvance + LruGuard::kCredit) * capacity;
}

double Verdict::below_lru() const { return lru > 0 ? std::max(1 - adaptive / lru, 0.0) : 0; }

Verdict judge(const Trace& trace, double size) {
  Verdict verdict;
  verdict.capacity = std::max(static_cast<std::uint32_t>(size * trace.distinct_blocks), 1U);
  verdict.blocks = trace.total_blocks;
  verdict.lru = hit_rate(trace, "lru", verdict.capacity);
  verdict.fifo = hit_rate(trace, "fifo", verdict.capacity);
  verdict.lfu = hit_rate(trace, "lfu", verdict.capacity);
  verdict.adaptive = hit_rate(trace, "adaptive", verdict.capacity);
  return verdict;
}

void Summary::add(const Verdict& verdict) {
  ++judged_;
  lru_ += verdict.lru;
  fifo_ += verdict.fifo;
  lfu_ += verdict.lfu;
  adaptive_ += verdict.adaptive;
  advantage_ += verdict.advantage();
  most_below_ = std::max(most_below_, verdict.below_lru());
  if (verdict.above_law() < -1e-6) ++below_law_;
}

}  // namespace headwater::cachesim
