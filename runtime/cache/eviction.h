#pragma once
// Which cached blocks to give up: the bookkeeping that every policy shares. What is a candidate, and leaf first, is
// decided here, and that a tenant over its quota gives up its own blocks first, and low priorities before high ones;
// an EvictionPolicy only ranks. No clock: time is passed in. Threading: one caller at a time.

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "cache/eviction_policy.h"

namespace headwater::cache {

class Evictor {
 public:
  /// `tenant_quota`: idle blocks that one tenant may hold before its own go first.
  Evictor(std::unique_ptr<EvictionPolicy> policy, std::uint32_t total_blocks,
          std::uint32_t tenant_quota = std::numeric_limits<std::uint32_t>::max());
  ~Evictor();

  void on_touches(std::span<const Touch> touches, TimeNs now);

  /// Up to `n` idle blocks that are not pinned, in the order in which to give them up; a block comes after all its
  /// indexed children. Does not change anything: a `forgotten` touch confirms each that was taken.
  std::vector<BlockId> victims(std::uint32_t n) const;

  std::uint64_t candidates() const;  ///< idle blocks
  void reset();

 private:
  struct Impl;
  class Choice;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::cache
