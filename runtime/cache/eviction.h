#pragma once
// Which cached blocks to give up. Bookkeeping that every policy shares (what is a candidate, leaf first)
// is in Evictor; a policy only ranks. No clock: time is passed in.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/prefix_cache.h"
#include "headwater/result.h"

namespace headwater::cache {

/// Ranks idle blocks. Policies are plug-ins: add one in eviction.cc's list. All calls O(log n).
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  virtual void on_published(BlockId block, std::uint32_t depth, schedule::TimeNs now) = 0;
  virtual void on_used(BlockId block, schedule::TimeNs now) = 0;  ///< referenced, or released
  virtual void on_forgotten(BlockId block) = 0;
  /// The candidate to give up first is the one with the lowest rank.
  virtual double rank(BlockId block) const = 0;
};

/// Errors: unknown name, lists the known ("lru").
Result<std::unique_ptr<EvictionPolicy>> make_policy(std::string_view name, std::uint32_t total_blocks);

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
