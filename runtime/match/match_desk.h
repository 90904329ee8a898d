#pragma once
// What of a prompt is cached, and what becomes of every KV block: what the prefix_matcher decides. Keeps the books of
// memory (cache::PrefixCache) and of a slower tier (cache::TierBooks), and has prompts wait for what comes from there.
//
// No actor, socket, clock or device: time is passed in, and what others are to do comes out of poll().
// Threading: one caller at a time.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/prefix_cache.h"
#include "cache/size_advisor.h"
#include "cache/tier/tier_books.h"
#include "schedule/scheduler.h"

namespace headwater::match {

struct MatchDeskOptions {
  cache::PrefixCacheOptions cache;
  cache::TierBooksOptions tier;
  std::string eviction_policy = "lru";  ///< the evictor's, for advice on the cache's size
  /// How a request wants the blocks kept that it uses.
  std::function<cache::Keep(const Request&)> keep = [](const Request&) { return cache::Keep{}; };
};

/// The answer to a demand for blocks.
struct Grant {
  std::uint32_t asked = 0;
  std::vector<BlockId> blocks;             ///< fewer than asked: there are no more now
  std::vector<schedule::BlockSave> saves;  ///< of these, what they have held
};

/// A chain of blocks that the tier is to load.
struct Load {
  std::uint64_t number = 0;
  std::vector<cache::BlockName> chain;
  TimeNs read_until = 0;  ///< the tier reads no more then
  TimeNs wait_until = 0;  ///< on_late() then
};

/// All that is to be done now, in this order: a demand that the scheduler makes in answer to a grant must find the
/// evictor informed of the touches, and what is given back must go before it is used again.
struct MatchOutput {
  bool open_tier = false;
  std::vector<Load> loads;
  cache::GivenBack given_back;                     ///< for the scheduler
  std::vector<schedule::MatchedSequence> matched;  ///< for the scheduler
  std::vector<cache::Touch> touches;               ///< for the evictor
  std::vector<schedule::BlockSave> saves;          ///< for the scheduler: to read out with the next plan
  std::optional<Grant> grant;                      ///< for the scheduler
  std::uint32_t demand = 0;                        ///< blocks: the evictor is to choose victims for them once more
};

class MatchDesk {
 public:
  explicit MatchDesk(MatchDeskOptions options);

  /// What follows happens at `now`, which never goes back. `tier`: whether there is a slower one. Call before the
  /// others.
  void advance(TimeNs now, bool tier);

  // ---- the path of a request ----

  /// A prompt has come: it is matched, or waits for the tier.
  void admit(const schedule::RequestPtr& request);
  /// A request that waits for the tier has ended, and waits no longer. Others are ignored.
  void cancel(RequestId id);
  /// What the scheduler says of blocks. `prefill_speed`: tokens a second; 0: not known.
  void apply(const schedule::CacheChanges& changes, double prefill_speed);
  /// A demand for `blocks`, with what the evictor would give up for it. `again`: it was asked a second time.
  void reclaim(std::uint32_t blocks, std::span<const BlockId> victims, bool again);

  // ---- the tier ----

  /// `fresh`: it has just begun, and what it was sent before is lost.
  void on_opened(const cache::OpenOutcome& outcome, bool fresh);
  void on_hung() { tier_.on_hung(now_); }  ///< the device has not answered for long
  void on_saved(const cache::SaveOutcome& outcome) { tier_.on_saved(outcome, now_); }
  void on_loaded(std::uint64_t load, cache::LoadOutcome outcome);
  /// A load's time is over: the request goes on without it, if it still waits.
  void on_late(std::uint64_t load);
  /// What the tier is to erase now; empty: nothing. Its outcome goes to on_erased().
  cache::Erasure take_erasure() { return tier_.take_erasure(); }
  void on_erased(const cache::Erasure& what, const cache::EraseOutcome& outcome) {
    tier_.on_erased(what, outcome, now_);
  }
  bool tier_open() const { return tier_.open(); }

  // ---- what an operator asks ----

  /// Tier blocks are given up by what take_erasure() then says.
  CacheFlush flush(const std::optional<std::string>& tenant);
  /// `until`: none: unpins.
  CachePins pin(std::span<const TokenId> tokens, const CacheOwner& owner, std::optional<TimeNs> until);
  void end_session(const std::string& tenant, const std::string& session) { cache_.end_session(tenant, session); }
  CacheStatus status() const;
  CacheAdvice advise() const;

  /// What has come of the calls above since the last time.
  MatchOutput poll();
  /// Whether something will have to be done without anybody calling: then call advance() and poll() after a while.
  bool expects_expiry() const;

  /// Forgets everything, what it has not told as well.
  void reset();

  cache::BlockCounts counts() const { return cache_.counts(); }
  cache::KvBytes bytes() const { return cache_.bytes(); }
  const cache::EvictionCounts& evictions() const { return cache_.evictions(); }
  TierStats tier_stats() const { return tier_.stats(); }
  /// As PrefixCache::check().
  std::string check() const { return cache_.check(); }

 private:
  /// A request that waits for the tier. It holds what memory has of its prompt.
  struct Waiting {
    schedule::RequestPtr request;
    std::vector<TokenId> tokens;
    cache::MatchResult found;
  };

  void match(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens);
  bool load(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens, cache::MatchResult& found);
  void hand_on(const schedule::RequestPtr& request, std::vector<TokenId> tokens, cache::MatchResult found,
               std::vector<cache::BlockBytes> restored);
  void go_on(std::uint64_t load, std::vector<cache::BlockBytes> restored);
  void collect_touches();
  void offer(const cache::CachedBlock& block, std::vector<schedule::BlockSave>& saves);

  MatchDeskOptions options_;
  cache::PrefixCache cache_;
  cache::TierBooks tier_;
  cache::SizeAdvisor advisor_;
  std::unordered_map<std::uint64_t, Waiting> waiting_;  ///< by the load's number
  MatchOutput out_;
  TimeNs now_ = 0;
  bool has_tier_ = false;
};

}  // namespace headwater::match
