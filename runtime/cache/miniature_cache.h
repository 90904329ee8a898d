#pragma once
// A prefix cache without anything in it: keys alone, with the policy and the rules that the server goes by. What it
// hits of a sample of keys is what a cache would hit of all that is as much larger as the sample is smaller. Source:
// Waldspurger et al., "Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017.
//
// A sample is drawn key by key: what is sampled of a chain of blocks is a chain again.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "cache/eviction.h"

namespace headwater::cache {

class MiniatureCache {
 public:
  /// REQUIRES: `policy` was made for `blocks` blocks; at least one.
  MiniatureCache(std::unique_ptr<EvictionPolicy> policy, std::uint32_t blocks);

  /// A prompt's blocks, in order, each after those before it: looked up, computed, published and released at once.
  /// Returns how many were hit. What is longer than the cache keeps its beginning.
  std::size_t serve(std::span<const std::uint64_t> keys);
  /// A block is filled that follows another, or begins a chain (`parent`: 0), while the prompt before it is in use.
  /// Does nothing where it is there, or what it follows is not.
  void fill(std::uint64_t parent, std::uint64_t key);
  bool holds(std::uint64_t key) const { return blocks_.contains(key); }

 private:
  void make_room(std::size_t blocks);
  void publish(BlockId parent, std::uint32_t depth, std::uint64_t key);

  Evictor evictor_;
  std::unordered_map<std::uint64_t, BlockId> blocks_;  ///< by key
  struct Held {
    std::uint64_t key = 0;
    std::uint32_t depth = 0;  ///< blocks before it
  };
  std::vector<Held> known_;  ///< of each block
  std::vector<BlockId> free_;
  std::vector<BlockId> held_;  ///< of the prompt that is served
  std::vector<Touch> touches_;
  TimeNs now_ = 0;
};

}  // namespace headwater::cache
