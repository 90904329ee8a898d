#pragma once
// What more or less memory for the prefix cache would bring, under the policy in use: keeps a curve of what is asked of
// it. LRU's follows from distances (MissCurve); any other policy is tried in miniature (PolicyCurve). Priorities,
// quotas and pins are left out. Threading: one caller at a time.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/key.h"
#include "cache/miss_curve.h"
#include "cache/policy_curve.h"
#include "cache/prefix_cache.h"
#include "headwater/cache_insight.h"
#include "kernels/block_grid.h"

namespace headwater::cache {

class SizeAdvisor {
 public:
  /// `policy`: as make_policy() knows it; what it does not know is taken for LRU.
  SizeAdvisor(std::uint32_t total_blocks, const kernels::BlockGrid& grid, std::string policy);

  /// A prompt is looked up in the cache; once for each request. `root`: the parent of its first block.
  void look_up(const Key& root, std::span<const TokenId> tokens);
  /// What happened to blocks of the cache, in order.
  void on_touches(std::span<const Touch> touches);

  CacheAdvice advise(std::uint64_t block_bytes) const;

 private:
  std::uint64_t fill(const Touch& touch);

  kernels::BlockGrid grid_;
  std::string policy_;
  std::optional<MissCurve> lru_;  ///< this or the other one
  std::optional<PolicyCurve> other_;
  std::vector<std::uint64_t>
      keys_;  ///< of each indexed block; for `other_` what PolicyCurve::last_sampled() says of it
};

/// A sentence on `sizes`, of which one has the factor 1, under `policy`. `looked_up`: blocks that the hit rates go by.
std::string size_advice(std::span<const CacheSize> sizes, std::uint64_t looked_up, const std::string& policy);

}  // namespace headwater::cache
