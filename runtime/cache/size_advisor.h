#pragma once
// What more or less memory for the prefix cache would bring: keeps a MissCurve of what is asked of it.

#include <span>
#include <string>
#include <vector>

#include "cache/key.h"
#include "cache/miss_curve.h"
#include "cache/prefix_cache.h"
#include "headwater/cache_insight.h"

namespace headwater::cache {

class SizeAdvisor {
 public:
  SizeAdvisor(std::uint32_t total_blocks, std::uint32_t block_tokens);

  /// A prompt is looked up in the cache; once for each request. `root`: the parent of its first block.
  void look_up(const Key& root, std::span<const TokenId> tokens);
  /// What happened to blocks of the cache, in order.
  void on_touches(std::span<const Touch> touches);

  CacheAdvice advise(std::uint64_t block_bytes) const;

 private:
  std::uint32_t block_tokens_;
  MissCurve curve_;
  std::vector<std::uint64_t> keys_;  ///< of each indexed block
};

/// A sentence on `sizes`, of which one has the factor 1. `looked_up`: blocks that the hit rates go by.
std::string size_advice(std::span<const CacheSize> sizes, std::uint64_t looked_up);

}  // namespace headwater::cache
