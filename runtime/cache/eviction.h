#pragma once
// Which cached blocks to give up: the bookkeeping that every policy shares. What is a candidate, and leaf first, is
// decided here; an EvictionPolicy only ranks. No clock: time is passed in.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/eviction_policy.h"

namespace headwater::cache {

class Evictor {
 public:
  Evictor(std::unique_ptr<EvictionPolicy> policy, std::uint32_t total_blocks);
  ~Evictor();

  void on_touches(std::span<const Touch> touches, schedule::TimeNs now);

  /// Up to `n` idle blocks in the order in which to give them up; a block comes after all its indexed
  /// children. Does not change anything: a `forgotten` touch confirms each that was taken.
  std::vector<BlockId> victims(std::uint32_t n) const;

  std::uint64_t candidates() const;  ///< idle blocks
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::cache
