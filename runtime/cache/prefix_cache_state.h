#pragma once
// What PrefixCache knows, and the steps that its work consists of. Private to prefix_cache.cc, what requests ask for,
// and prefix_cache_admin.cc, what an operator and the tests do.

#include <algorithm>
#include <deque>
#include <stdexcept>

#include "cache/eviction_record.h"
#include "cache/partial_index.h"
#include "cache/prefix_cache.h"
#include "cache/window_rows.h"

namespace headwater::cache {

enum class State : std::uint8_t { free, active, cached };

struct Block {
  State state = State::free;
  std::uint32_t refs = 0;
  bool indexed = false;
  // Of indexed blocks:
  Key key{};
  Key parent_key{};
  BlockId parent = -1;
  std::uint32_t children = 0;
  std::uint32_t depth = 0;
  bool matched = false;         ///< since it was published
  std::vector<TokenId> tokens;  ///< all that it has room for, or fewer: a tail
};

/// A request's place in its chain: its last indexed block, which it holds.
struct Place {
  Key key{};
  BlockId block = -1;
  std::uint32_t depth = 0;
  Keep keep{};

  void move_on(const Key& next_key, BlockId next_block) {
    key = next_key;
    block = next_block;
    ++depth;
  }
};

struct PrefixCache::Impl {
  explicit Impl(PrefixCacheOptions given)
      : options(std::move(given)),
        grid(options.grid),
        windows(options.window, options.total_blocks),
        evicted(options.total_blocks),
        retention(options.retention, options.total_blocks) {
    clear();
  }

  PrefixCacheOptions options;
  kernels::BlockGrid grid;  ///< options.grid
  std::vector<Block> blocks;
  std::deque<BlockId> free;       ///< with memory, the last to be granted first
  std::vector<BlockId> unbacked;  ///< without
  WindowRows windows;
  std::unordered_map<Key, BlockId, KeyHash> index;
  PartialIndex parts;
  EvictionRecord evicted;
  std::unordered_map<RequestId, Place> places;
  std::vector<Touch> touches;
  Retention retention;
  TimeNs now = 0;
  BlockCounts counts;

  Block& at(BlockId id) {
    if (id < 0 || static_cast<std::size_t>(id) >= blocks.size()) {
      throw std::logic_error("no block " + std::to_string(id) + " in the pool");
    }
    return blocks[static_cast<std::size_t>(id)];
  }

  /// The tokens of a sequence's block of that depth. REQUIRES: the sequence has them all.
  std::span<const TokenId> tokens_of(std::uint32_t depth, std::span<const TokenId> sequence) const {
    return sequence.subspan(grid.begin(depth), grid.size(depth));
  }
  bool whole(const Block& block) const { return block.tokens.size() == grid.size(block.depth); }

  std::uint64_t& count(State state) {
    return state == State::free ? counts.free : state == State::active ? counts.active : counts.cached;
  }
  void move(Block& block, State to) {
    --count(block.state);
    ++count(to);
    block.state = to;
  }

  void clear() {
    parts.clear();  // reads the blocks' tokens
    blocks.assign(options.total_blocks, {});
    windows.clear();
    free.clear();
    unbacked.clear();
    for (std::uint32_t i = options.total_blocks; i > 0; --i) {
      const auto id = static_cast<BlockId>(i - 1);
      windows.exist() ? unbacked.push_back(id) : free.push_back(id);
    }
    index.clear();
    evicted.forget_blocks();
    places.clear();
    touches.clear();
    retention.clear();
    counts = {options.total_blocks, 0, 0, options.total_blocks};
  }

  /// The indexed block for `tokens` after `parent`, or -1. The hash proposes, the tokens prove.
  BlockId find(const Key& key, BlockId parent, std::span<const TokenId> tokens) {
    const auto found = index.find(key);
    if (found == index.end()) return -1;
    const Block& block = at(found->second);
    const bool same = block.parent == parent && std::ranges::equal(block.tokens, tokens);
    return same ? found->second : -1;
  }

  void forget(BlockId id) {
    Block& block = at(id);
    index.erase(block.key);
    parts.remove(block.parent_key, block.tokens);
    if (block.parent >= 0) --at(block.parent).children;
    block.indexed = false;
    block.tokens.clear();
    retention.remove(id);
    windows.forget(id);
    touches.push_back({Touch::Kind::forgotten, id});
  }

  void evict(BlockId id, EvictionReason reason) {
    const Block& block = at(id);
    whole(block) ? evicted.on_evicted(beginning(block.key), reason) : evicted.count(reason);
    forget(id);
  }

  /// Indexes a block under a key that is not taken.
  void add(BlockId id, const Key& key, const Place& place, std::span<const TokenId> tokens) {
    Block& block = at(id);
    if (block.state != State::active || block.indexed) {
      throw std::logic_error("block " + std::to_string(id) + " was published twice, or while not in use");
    }
    block.indexed = true;
    block.key = key;
    block.parent_key = place.key;
    block.parent = place.block;
    block.children = 0;
    block.depth = place.depth;
    block.matched = false;
    block.tokens.assign(tokens.begin(), tokens.end());
    windows.fill(id);
    if (block.parent >= 0) ++at(block.parent).children;
    index.emplace(key, id);
    parts.add(block.parent_key, id, block.tokens);
    evicted.on_returned(beginning(key));
    retention.add(id, block.parent, place.keep);
    touches.push_back({Touch::Kind::published, id, block.parent, block.depth, beginning(key), retention.tenant(id),
                       retention.priority(id)});
  }

  void reference(BlockId id) {
    Block& block = at(id);
    if (block.refs++ > 0) return;
    move(block, State::active);
    retention.set_busy(id);
    touches.push_back({Touch::Kind::busy, id});
  }
  /// For a request that wants it kept so.
  void reference(BlockId id, const Keep& keep) {
    reference(id);
    if (!retention.use(id, keep)) return;
    touches.push_back({.kind = Touch::Kind::raised, .block = id, .priority = retention.priority(id)});
  }
  void drop(BlockId id) {
    Block& block = at(id);
    if (block.state != State::active) {
      throw std::logic_error("block " + std::to_string(id) + " was released and is not active");
    }
    if (--block.refs > 0) return;
    if (block.indexed) {
      move(block, State::cached);
      retention.set_idle(id, now);
      touches.push_back({Touch::Kind::idle, id});
    } else {
      set_free(id);
    }
  }
  void set_free(BlockId id) {
    windows.forget(id);
    move(at(id), State::free);
    free.push_back(id);
  }

  void tell(const PinChange& change) {
    for (const BlockId id : change.pinned) touches.push_back({Touch::Kind::pinned, id});
    for (const BlockId id : change.unpinned) touches.push_back({Touch::Kind::unpinned, id});
  }

  static std::string session_name(const std::string& tenant, const std::string& session) {
    return session.empty() ? "" : tenant + '\0' + session;
  }

  /// Pins what the request's place in its chain ends with, if it wants that.
  void pin(const Place& place) {
    if (place.keep.pin == 0 || place.block < 0) return;
    const std::string session = session_name(place.keep.tenant, place.keep.session);
    tell(retention.pin(session, place.block, place.keep.pin >= kNever - now ? kNever : now + place.keep.pin, true));
  }

  /// What match() finds; references nothing. `place`: the root's; then the place after the last whole block that need
  /// not be computed once more.
  /// REQUIRES: !tokens.empty().
  MatchResult look_up(std::span<const TokenId> tokens, Place& place) {
    MatchResult result;
    Key key = place.key;
    BlockId last = place.block;
    std::uint32_t depth = 0;
    std::uint32_t run = 0;  // from this block on to the last all window rows are there
    while (grid.end(depth) < tokens.size()) {
      const auto part = tokens_of(depth, tokens);
      const Key next = block_key(key, part);
      const BlockId id = find(next, last, part);
      if (id < 0) break;
      result.blocks.push_back(id);
      key = next;
      last = id;
      ++depth;
      if (!windows.whole(id)) run = depth;
      if (run > first_seen(depth)) continue;
      place.key = key;
      place.block = last;
      place.depth = depth;
    }
    result.cached_tokens = grid.begin(place.depth);
    result.first_window = first_seen(place.depth);
    if (place.depth == depth) look_up_part(place, tokens.subspan(result.cached_tokens), result);
    return result;
  }
  /// The first block whose window rows are needed to go on after so many whole blocks.
  std::uint32_t first_seen(std::uint32_t depth) const {
    return first_in_window(grid.begin(depth), options.window.tokens, grid);
  }

  /// The block that begins most like `next`, the tokens after the match so far.
  PartialIndex::Found find_part(const Place& place, std::span<const TokenId> next, double threshold) {
    // A whole block would have been found as one, and the last token is computed.
    const std::size_t most = std::min<std::size_t>(next.size(), grid.size(place.depth)) - 1;
    const auto part = parts.best(place.key, next.first(most), threshold);
    const bool there = part.block >= 0 && at(part.block).parent == place.block && windows.whole(part.block);
    return there ? part : PartialIndex::Found{};
  }
  void look_up_part(const Place& place, std::span<const TokenId> next, MatchResult& result) {
    const auto part = find_part(place, next, options.match_threshold);
    if (part.block < 0) return;
    result.blocks.push_back(part.block);
    result.cached_tokens += part.tokens;
    result.details.copied_tokens = part.tokens;
  }

  /// Why the rest of a prompt, `next` after the whole blocks found, was not found.
  CacheMiss why_missing(const Place& place, std::span<const TokenId> next, const MatchResult& result) {
    if (result.details.missed_tokens == 0) return CacheMiss::none;
    if (result.refills(grid)) return CacheMiss::evicted;
    if (next.size() > grid.size(place.depth)) {
      const Key key = block_key(place.key, next.first(grid.size(place.depth)));
      if (const auto why = evicted.why_missing(beginning(key)); why != CacheMiss::never_seen) return why;
    }
    const bool alike = result.details.copied_tokens == 0 && find_part(place, next, 0).block >= 0;
    return alike ? CacheMiss::below_threshold : CacheMiss::never_seen;
  }

  void add_tail(Place& place, std::span<const BlockId> table, std::span<const TokenId> tail) {
    if (tail.size() >= grid.size(place.depth) || place.depth >= table.size()) {
      throw std::logic_error("the tail of a request has no block, or more tokens than one holds");
    }
    const Key key = block_key(place.key, tail);
    if (index.contains(key)) return;
    const BlockId block = table[place.depth];
    add(block, key, place, tail);
    place.block = block;
  }

  void give_up(BlockId id, EvictionReason reason) {
    evict(id, reason);
    set_free(id);
  }

  void grant(BlockId id) {
    Block& block = at(id);
    move(block, State::active);
    block.refs = 1;
    windows.grant(id);
  }

  void leave_window(BlockId id, bool ended) {
    if (windows.exist()) windows.leave(id, at(id).indexed, ended || retention.pinned(id));
  }

  /// A free block, which the pool has room for: of `n` to be granted; or -1. Free blocks come first, then of `victims`,
  /// from the `next` on, those that may still go.
  BlockId make_free(std::size_t n, std::span<const BlockId> victims, std::size_t& next,
                    const std::function<void(const CachedBlock&)>& on_evict);
  /// Evicts the next of `victims` that may go. False: there is none.
  bool evict_next(std::span<const BlockId> victims, std::size_t& next,
                  const std::function<void(const CachedBlock&)>& on_evict);
  CachedBlock describe(BlockId id) const;

  // ---- prefix_cache_admin.cc ----

  /// The tenant that reports call so; nullptr: it holds no block.
  const Tenant* find_tenant(const std::string& digest) const;
  /// The blocks that a request with these tokens would read.
  MatchResult peek(std::span<const TokenId> tokens, const CacheOwner& owner);
  /// Whether the chain up to `leaf` goes on after `place` with tokens that agree with `next`, as far as both go.
  bool goes_on(BlockId leaf, const Place& place, std::span<const TokenId> next) const;
  CachePins report_pins(const MatchResult& found, std::size_t changed) const;
  /// Tokens, tenants, ages and priorities.
  void count_blocks(CacheStatus& status) const;
};

}  // namespace headwater::cache
