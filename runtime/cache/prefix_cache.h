#pragma once
// The one owner of every KV block's state: which are free, which running sequences use, which hold a
// prefix that may be wanted again. No socket, clock or actor; the prefix_matcher actor adapts it.
//
// Life of a block:      reclaim()            publish()           release(), last reference
//              free ───────────────► active ───────────► active, indexed ───────────► cached
//               ▲   release(), not indexed │                     ▲   match()             │
//               └──────────────────────────┘                     └───────────────────────┤
//               └───────────────── reclaim() as a victim, or its time is over ◄──────────┘
// A request's last block, which is not full, is indexed as well when the request is released: a tail. Nothing follows
// a tail. Its rows, and those at the beginning of any indexed block, are reused by copying the block.
// Invariant: free + active + cached == total, after every call.
//
// A key is the SHA-256 of a typed, length-delimited record (see key.h). A key alone never proves a hit: the
// entry's own tokens and its parent are compared as well.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "cache/eviction_record.h"
#include "cache/key.h"
#include "cache/retention.h"
#include "cache/tier_block.h"
#include "cache/window.h"
#include "kernels/block_grid.h"

namespace headwater::cache {

struct PrefixCacheOptions {
  std::uint32_t total_blocks = 0;
  kernels::BlockGrid grid;  ///< which tokens of a sequence its blocks hold
  bool enabled = true;      ///< false: match() finds nothing and publish() indexes nothing
  /// A block that agrees in part is matched when at least this share of the tokens that it holds does, 0 … 1; 0: any.
  double match_threshold = 0.8;
  KeyContext context;
  RetentionOptions retention{};
  WindowOptions window{};
};

/// What happened to an indexed block; the evictor lives on these.
struct Touch {
  enum class Kind : std::uint8_t {
    published,  ///< entered the index (in use)
    idle,       ///< no sequence uses it any more: a candidate
    busy,       ///< used again
    forgotten,  ///< left the index
    raised,     ///< of higher priority now
    pinned,     ///< no candidate, though it be idle
    unpinned,
  };
  Kind kind = Kind::published;
  BlockId block = 0;
  BlockId parent = -1;                      ///< published: the block before it in its chain, -1: it is the first
  std::uint32_t depth = 0;                  ///< published: blocks before it
  std::uint64_t key = 0;                    ///< published: the beginning of its key, to recognise it when it returns
  TenantId tenant = 0;                      ///< published: whose it is
  std::uint8_t priority = kNormalPriority;  ///< published, raised
};

/// An indexed block, while nothing changes in the cache.
struct CachedBlock {
  BlockId block = -1;
  const Key& key;
  const Key& parent;
  std::span<const TokenId> tokens;  ///< all that it has room for, or fewer: a tail
  std::uint32_t depth = 0;          ///< blocks before it
  bool matched = false;             ///< since it was published
  TierTerms terms{};                ///< as they are while nobody uses it
  bool complete = true;             ///< it and all before it have their window rows (window.h)

  BlockName name() const { return {key, parent, {tokens.begin(), tokens.end()}}; }
};

struct BlockCounts {
  std::uint64_t free = 0, active = 0, cached = 0, total = 0;
};

struct MatchResult {
  std::vector<BlockId> blocks;  ///< referenced for the request until release()
  /// All that the blocks have room for; or fewer of the last, which then agrees in part: the request may read those,
  /// and writes into a copy. Or, in whole blocks, fewer than there are blocks: those behind lack window rows, and are
  /// computed once more, in place.
  std::uint32_t cached_tokens = 0;
  std::uint32_t first_window = 0;  ///< the first block whose window rows are held for the request
  CacheDetails details{};

  /// Whether some are to be computed once more.
  bool refills(const kernels::BlockGrid& grid) const { return blocks.size() > grid.covering(cached_tokens); }
};

class PrefixCache {
 public:
  explicit PrefixCache(PrefixCacheOptions options);

  /// What follows happens at `now`: pins whose time is over end, and idle blocks whose time is over are free again, so
  /// that no match finds them. Call before the others; `now` never goes back.
  void advance(TimeNs now);
  /// When advance() will have something to do next; kNever: not before something else happens.
  TimeNs next_expiry() const;

  /// The longest chain of whole blocks that begins `tokens`, then the block that agrees with most of what follows, all
  /// short of the last token (its logits are wanted). References the blocks and remembers the request's place in the
  /// chain for publish(). `use_cache` false: finds nothing (the request wants every prompt token computed), still
  /// publishes. `keep` holds for what is found and published. What is missing and was evicted lately is told from what
  /// is new.
  /// REQUIRES: the request is not known, or was released.
  MatchResult match(RequestId request, std::span<const TokenId> tokens, std::string_view salt, bool use_cache,
                    const Keep& keep = {});

  /// The whole blocks with which `tokens` go on after those that match() has found whole, short of the last token, as
  /// long as `wanted` says so of their keys.
  std::vector<BlockName> beyond(RequestId request, std::span<const TokenId> tokens,
                                const std::function<bool(const Key&)>& wanted) const;

  /// `blocks` whole blocks come from elsewhere after the whole ones that match() has found, in place of a block that
  /// agrees in part, which is released. `found` has the same blocks but that one; its details count the new ones, too.
  void add_restored(MatchResult& found, RequestId request, std::span<const TokenId> tokens, std::uint32_t blocks);

  /// Indexes blocks that have been filled, in order, right after the request's last known block.
  /// `tokens`: those of the blocks, which are full. If the same prefix is indexed already (two requests computed it
  /// side by side), the block and those after it stay private. A block that is indexed itself has its window rows
  /// again. Unknown requests are ignored.
  void publish(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tokens);

  /// Drops one reference of each block, last first, and the request's place. A block that is not indexed becomes free.
  /// `tail`: what has been computed of the request's own block after its last whole one, fewer than fill it. That
  /// block is indexed, unless another holds the same or the request's chain is private. `windows`: whose window rows it
  /// still holds.
  /// Throws std::logic_error for a block that is not active: the books are wrong.
  void release(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tail = {},
               const WindowSpan& windows = {});

  /// A request has gone on, and needs these blocks' window rows no longer.
  void pass(std::span<const BlockId> blocks);
  /// An indexed block that a request holds is to get window rows again, in place of a block that was granted for it.
  void refill(BlockId granted, BlockId block);

  /// Drops the reference of blocks that match() gave as agreeing in part: the copy is made, or not wanted. The request
  /// keeps its place.
  void release_copied(std::span<const BlockId> blocks);

  /// Takes back blocks that were granted and never used.
  void give_back(std::span<const BlockId> blocks);

  /// Up to `n` blocks, now active: free ones first, then of `victims` those that are still cached and have no
  /// indexed child, in order. `on_evict` is told of each of these before it is forgotten.
  std::vector<BlockId> reclaim(std::uint32_t n, std::span<const BlockId> victims,
                               const std::function<void(const CachedBlock&)>& on_evict = {});
  /// Memory that is to go back to the system before anything is written into what was granted since.
  GivenBack take_given_back();

  /// Indexed, and nobody uses it.
  bool idle(BlockId block) const;
  /// REQUIRES: the block is indexed.
  CachedBlock describe(BlockId block) const;

  // ---- what an operator asks for ----

  /// Pins the blocks that a request with these tokens would read, as many as the limits leave.
  CachePins pin(std::span<const TokenId> tokens, const CacheOwner& owner, TimeNs until);
  /// Ends all pins but those of sessions that end within these blocks. Longer pins keep what is theirs.
  CachePins unpin(std::span<const TokenId> tokens, const CacheOwner& owner);
  /// Ends a session's pin, also one that a request still running would have made.
  void end_session(const std::string& tenant, const std::string& session);
  /// Gives up what is cached and not pinned, of one tenant (as CacheStatus shows it) or of all. The number of blocks.
  std::uint64_t flush(const std::optional<std::string>& tenant);
  CacheStatus status() const;

  /// What changed since the last call, in order.
  std::vector<Touch> take_touches();

  /// The parent of the first block of what a tenant keeps under a salt.
  Key root(std::string_view tenant, std::string_view salt) const;

  BlockCounts counts() const;
  /// That blocks take now, also free ones.
  KvBytes bytes() const;
  const EvictionCounts& evictions() const;

  /// Recounts everything from scratch and compares: empty, or what is wrong. For tests and debug builds.
  std::string check() const;

  /// Forgets everything; all blocks are free.
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;

 public:
  ~PrefixCache();
};

}  // namespace headwater::cache
