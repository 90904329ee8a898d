#pragma once
// What the fake runtime tells of its steps and of its cache: numbers for tests to find again.

#include "headwater/runtime.h"

namespace headwater::test {

/// Adds what requests do not change.
inline void tell(Stats& stats) {
  stats.blocks_total = 100;
  stats.blocks_free = 60;
  stats.blocks_active = 30;
  stats.kv_full_bytes = 15000000;
  stats.kv_window_bytes = 667200;
  stats.blocks_cached = 10;
  stats.prefix_query_tokens = 500;
  stats.prefix_hit_tokens = 320;
  stats.prefix_copied_tokens = 25;
  stats.prefix_query_blocks = 14;
  stats.prefix_hit_blocks = 9;
  stats.prefix_missed_tokens = {0, 100, 50, 10, 15, 2, 3};
  stats.evictions = {7, 1, 2, 0};
  stats.ghost_hits = 4;
  stats.eviction_age_seconds_sum = 33.5;
  stats.eviction_age_seconds_counts = {1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1};
  stats.steps = 6;
  stats.step_seconds_sum = 0.5;
  stats.step_seconds_counts = {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3};
  stats.batch_size_counts = {4, 0, 2, 0, 0, 0, 0, 0, 0, 0};
  stats.batch_size_sum = 12;
}

inline CacheAdvice told_advice() {
  CacheAdvice advice;
  advice.looked_up_blocks = 5000;
  advice.sizes = {{0.5, 50, 50'000, 0.25}, {1, 100, 100'000, 0.5}, {2, 200, 200'000, 0.75}};
  advice.advice = "take more";
  return advice;
}

inline CacheStatus told_status() {
  CacheStatus status;
  status.block_tokens = 32;
  status.total = 100;
  status.free = 60;
  status.active = 30;
  status.cached = 10;
  status.pinned = 4;
  status.max_pinned = 25;
  status.tenant_quota = 50;
  status.tokens = 1200;
  status.tenants = {{"0123456789ab", 40, 10, 4, 1200, 500, 320}};
  status.tenants_total = 1;
  status.ages = {{1000, 6}, {0, 4}};
  status.priorities = {{50, 40}};
  status.tier = {300, 4'000'000, {{"0123456789ab", 300}}, 1};
  return status;
}

}  // namespace headwater::test
