#pragma once
// What is on a slower tier as far as is known, what to save there, what to load from there and what to erase there. The
// prefix_matcher's; no clock, actor or device: time is passed in, and what TierWorker did comes back as outcomes.
//
// Nothing here waits for the tier. What is under way is bounded (max_saves, max_staged), and a load is waited for no
// longer than computing would take.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/histogram.h"
#include "cache/prefix_cache.h"
#include "cache/tier/backoff.h"
#include "cache/tier/tier_index.h"
#include "cache/tier/tier_worker.h"
#include "headwater/runtime.h"
#include "kernels/block_grid.h"

namespace headwater::cache {

struct TierBooksOptions {
  kernels::BlockGrid grid;  ///< which tokens of a sequence its blocks hold
  std::uint64_t block_bytes = 0;
  std::uint32_t max_saves = 64;    ///< blocks that wait to be saved; others are dropped
  std::uint32_t max_staged = 256;  ///< blocks that are loaded, or about to be, and not in the arena yet
  /// Share of the tier beyond which a tenant's blocks take no room from those of others.
  double tenant_quota = 1;
};

/// A load that is under way.
struct TierLoad {
  std::uint64_t number = 0;
  std::uint32_t blocks = 0;  ///< of the chain; 0: do not load
  TimeNs read_until{};       ///< the tier reads no more then
  TimeNs wait_until{};       ///< nor does the request wait: by then it would have been computed
};

class TierBooks {
 public:
  explicit TierBooks(TierBooksOptions options);

  /// Forgets what is under way and what the tier holds, until on_open(): it opens by itself. Counters stay, and what is
  /// to be erased.
  void reset();
  /// Gives up what has expired.
  void advance(TimeNs now);
  TimeNs next_expiry() const { return index_.next_expiry(); }
  void on_open(const OpenOutcome& outcome, TimeNs now);
  /// Whether the tier is in trouble and is to be opened anew, now. It is under way then until on_open().
  bool takes_open(TimeNs now);
  /// The device has not answered for long: nothing goes there until it does, and has been opened anew.
  void on_hung(TimeNs now);

  /// Whether to save the block: it is worth it, it is not there (or soon given up there), and there is room in the
  /// queue, of which it takes a place. Ask for blocks of a chain from its end on, as they are evicted.
  bool takes_save(const CachedBlock& block);
  void on_saved(const SaveOutcome& outcome, TimeNs now);

  bool knows(const Key& key) const { return index_.contains(key); }
  /// Whether, and how much, to load of a chain of `blocks` known ones that has `depth` blocks before it.
  TierLoad takes_load(RequestId request, std::uint32_t depth, std::uint32_t blocks, TimeNs now);
  /// The answer to a load that its request still waits for, or one that it has given up.
  void on_loaded(std::uint64_t load, const LoadOutcome& outcome, TimeNs now);
  /// The request goes on without the load. `late`: its time is over; false: the request has ended.
  void give_up(std::uint64_t load, bool late, TimeNs now);
  /// What was loaded for the request is in the arena, or not wanted.
  void on_settled(RequestId request) { staged_.erase(request); }

  /// Gives up what a tenant (as CacheStatus shows it) or everybody has on the tier, and what is on its way there. The
  /// number of blocks; where the tier is not open they are given up as it opens.
  std::uint64_t flush(const std::optional<std::string>& tenant);
  /// What the tier is to erase now.
  Erasure take_erasure();
  void on_erased(const Erasure& erasure, const EraseOutcome& outcome, TimeNs now);

  /// 0: not known.
  void set_prefill_speed(double tokens_per_second);

  bool open() const { return open_; }
  bool troubled() const { return troubled_; }  ///< and takes_open() will say when to try anew
  TierStats stats() const;
  TierHoldings holdings() const;

 private:
  struct Saving {
    std::uint32_t times = 0;    ///< that it is under way
    std::uint32_t flushed = 0;  ///< of those, the first ones, which are not to stay
    TierTerms terms{};
  };
  struct UnderWay {
    RequestId request = 0;
    std::uint32_t depth = 0;
    std::uint32_t blocks = 0;
    bool wanted = true;
  };

  bool worth_saving(const CachedBlock& block) const;
  bool over_quota(const TenantMark& tenant) const;
  void erase(std::span<const Key> keys);
  /// Tokens of so many blocks that have `depth` before them.
  std::uint32_t tokens(std::uint32_t depth, std::uint32_t blocks) const {
    return options_.grid.begin(depth + blocks) - options_.grid.begin(depth);
  }
  double compute_seconds(std::uint32_t tokens) const { return tokens / prefill_speed_; }
  void learn_speed(double seconds_per_block);
  void trouble(TimeNs now);
  std::uint32_t staged() const;

  TierBooksOptions options_;
  bool open_ = false, opening_ = true;
  bool troubled_ = false;  ///< until it is opened anew
  Backoff reopening_{1'000'000'000};
  Backoff loading_{50'000'000};  ///< after loads that were too late; a busy processor is no slow disk

  TierIndex index_;
  StoreState store_;  ///< as it was lately
  std::unordered_map<Key, Saving, KeyHash> saving_;
  std::uint32_t saves_under_way_ = 0;
  std::unordered_set<Key, KeyHash> wanted_;  ///< blocks whose children have been saved

  Erasure to_erase_;                            ///< that take_erasure() has not given
  std::unordered_set<Key, KeyHash> condemned_;  ///< until they are known to be erased
  std::set<TenantMark> flushed_;                ///< while the tier was not open
  bool all_condemned_ = false;

  std::unordered_map<std::uint64_t, UnderWay> loads_;
  std::uint64_t next_load_ = 1;
  std::unordered_map<RequestId, std::uint32_t> staged_;  ///< blocks
  double prefill_speed_;
  double seconds_per_block_;  ///< of a load
  TimeNs probe_at_ = 0;
  Histogram load_seconds_{kTierSecondsBounds}, save_seconds_{kTierSecondsBounds};
  TierStats stats_;  ///< without what stats() adds
};

}  // namespace headwater::cache
