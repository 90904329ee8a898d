#include "cache/prefix_cache.h"

#include <algorithm>
#include <stdexcept>

#include "cache/eviction_record.h"
#include "cache/partial_index.h"

namespace headwater::cache {
namespace {

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
  std::vector<TokenId> tokens;  ///< block_tokens, or fewer: a tail
};

/// A request's place in its chain: its last indexed block, which it holds.
struct Place {
  Key key{};
  BlockId block = -1;
  std::uint32_t depth = 0;
};

}  // namespace

struct PrefixCache::Impl {
  explicit Impl(PrefixCacheOptions given) : options(std::move(given)), evicted(options.total_blocks) { clear(); }

  PrefixCacheOptions options;
  std::vector<Block> blocks;
  std::vector<BlockId> free;
  std::unordered_map<Key, BlockId, KeyHash> index;
  PartialIndex parts;
  EvictionRecord evicted;
  std::unordered_map<RequestId, Place> places;
  std::vector<Touch> touches;
  BlockCounts counts;

  Block& at(BlockId id) {
    if (id < 0 || static_cast<std::size_t>(id) >= blocks.size()) {
      throw std::logic_error("no block " + std::to_string(id) + " in the pool");
    }
    return blocks[static_cast<std::size_t>(id)];
  }

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
    free.clear();
    for (std::uint32_t i = options.total_blocks; i > 0; --i) free.push_back(static_cast<BlockId>(i - 1));
    index.clear();
    evicted.forget_blocks();
    places.clear();
    touches.clear();
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
    touches.push_back({Touch::Kind::forgotten, id});
  }

  void evict(BlockId id, EvictionReason reason) {
    const Block& block = at(id);
    const bool whole = block.tokens.size() == options.block_tokens;
    whole ? evicted.on_evicted(beginning(block.key), reason) : evicted.count(reason);
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
    block.tokens.assign(tokens.begin(), tokens.end());
    if (block.parent >= 0) ++at(block.parent).children;
    index.emplace(key, id);
    parts.add(block.parent_key, id, block.tokens);
    evicted.on_returned(beginning(key));
    touches.push_back({Touch::Kind::published, id, block.parent, block.depth, beginning(key)});
  }

  void reference(BlockId id) {
    Block& block = at(id);
    if (block.refs++ > 0) return;
    move(block, State::active);
    touches.push_back({Touch::Kind::busy, id});
  }
  void drop(BlockId id) {
    Block& block = at(id);
    if (block.state != State::active) {
      throw std::logic_error("block " + std::to_string(id) + " was released and is not active");
    }
    if (--block.refs > 0) return;
    if (block.indexed) {
      move(block, State::cached);
      touches.push_back({Touch::Kind::idle, id});
    } else {
      move(block, State::free);
      free.push_back(id);
    }
  }

  /// The block that begins most like `next`, the tokens after the match so far.
  PartialIndex::Found find_part(const Place& place, std::span<const TokenId> next, double threshold) {
    // A whole block would have been found as one, and the last token is computed.
    const std::size_t most = std::min<std::size_t>(next.size(), options.block_tokens) - 1;
    const auto part = parts.best(place.key, next.first(most), threshold);
    return part.block >= 0 && at(part.block).parent == place.block ? part : PartialIndex::Found{};
  }
  void match_part(const Place& place, std::span<const TokenId> next, MatchResult& result) {
    const auto part = find_part(place, next, options.match_threshold);
    if (part.block < 0) return;
    reference(part.block);
    result.blocks.push_back(part.block);
    result.cached_tokens += part.tokens;
    result.details.copied_tokens = part.tokens;
  }

  /// Why the rest of a prompt, `next` after the whole blocks found, was not found.
  CacheMiss why_missing(const Place& place, std::span<const TokenId> next, const MatchResult& result) {
    if (result.details.missed_tokens == 0) return CacheMiss::none;
    if (next.size() > options.block_tokens) {
      const Key key = block_key(place.key, next.first(options.block_tokens));
      if (const auto why = evicted.why_missing(beginning(key)); why != CacheMiss::never_seen) return why;
    }
    const bool alike = result.details.copied_tokens == 0 && find_part(place, next, 0).block >= 0;
    return alike ? CacheMiss::below_threshold : CacheMiss::never_seen;
  }

  void add_tail(const Place& place, std::span<const BlockId> table, std::span<const TokenId> tail) {
    if (tail.size() >= options.block_tokens || place.depth >= table.size()) {
      throw std::logic_error("the tail of a request has no block, or more tokens than one holds");
    }
    const Key key = block_key(place.key, tail);
    if (!index.contains(key)) add(table[place.depth], key, place, tail);
  }

  void grant(BlockId id) {
    Block& block = at(id);
    move(block, State::active);
    block.refs = 1;
  }
};

PrefixCache::PrefixCache(PrefixCacheOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
PrefixCache::~PrefixCache() = default;

MatchResult PrefixCache::match(RequestId request, std::span<const TokenId> tokens, std::string_view salt,
                               bool use_cache) {
  Impl& cache = *impl_;
  Place place{root(salt), -1, 0};
  MatchResult result;
  if (cache.options.enabled && use_cache && !tokens.empty()) {
    const std::size_t size = cache.options.block_tokens;
    for (std::size_t at = 0; at + size < tokens.size(); at += size) {
      const auto part = tokens.subspan(at, size);
      const Key key = block_key(place.key, part);
      const BlockId id = cache.find(key, place.block, part);
      if (id < 0) break;
      cache.reference(id);
      result.blocks.push_back(id);
      place = {key, id, place.depth + 1};
    }
    result.cached_tokens = static_cast<std::uint32_t>(result.blocks.size() * size);
    const auto next = tokens.subspan(result.cached_tokens);
    cache.match_part(place, next, result);
    result.details.missed_tokens = static_cast<std::uint32_t>(tokens.size()) - 1 - result.cached_tokens;
    result.details.miss = cache.why_missing(place, next, result);
    if (result.cached_tokens > 0) result.details.source = CacheSource::memory;
  } else {
    result.details.missed_tokens = static_cast<std::uint32_t>(std::max<std::size_t>(tokens.size(), 1)) - 1;
    result.details.miss = CacheMiss::bypassed;
  }
  cache.places.insert_or_assign(request, place);
  return result;
}

void PrefixCache::publish(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tokens) {
  Impl& cache = *impl_;
  const auto found = cache.places.find(request);
  if (!cache.options.enabled || found == cache.places.end()) return;
  Place& place = found->second;
  const std::size_t size = cache.options.block_tokens;
  if (tokens.size() != blocks.size() * size) throw std::logic_error("blocks were published without their tokens");
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto part = tokens.subspan(i * size, size);
    const Key key = block_key(place.key, part);
    if (cache.index.contains(key)) {
      // A twin: another request computed the same side by side. What follows would hang below a block that this
      // request does not hold, and could keep it from ever being evicted; so the rest of the chain stays private.
      cache.places.erase(found);
      return;
    }
    cache.add(blocks[i], key, place, part);
    place = {key, blocks[i], place.depth + 1};
  }
}

void PrefixCache::release(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tail) {
  Impl& cache = *impl_;
  if (const auto found = cache.places.find(request); found != cache.places.end()) {
    if (cache.options.enabled && !tail.empty()) cache.add_tail(found->second, blocks, tail);
    cache.places.erase(found);
  }
  for (std::size_t i = blocks.size(); i > 0; --i) cache.drop(blocks[i - 1]);
}

void PrefixCache::release_copied(std::span<const BlockId> blocks) {
  for (BlockId id : blocks) impl_->drop(id);
}

void PrefixCache::give_back(std::span<const BlockId> blocks) {
  Impl& cache = *impl_;
  for (BlockId id : blocks) {
    Block& block = cache.at(id);
    if (block.state != State::active || block.indexed || block.refs != 1) {
      throw std::logic_error("block " + std::to_string(id) + " was given back and is not an unused grant");
    }
    block.refs = 0;
    cache.move(block, State::free);
    cache.free.push_back(id);
  }
}

std::vector<BlockId> PrefixCache::reclaim(std::uint32_t n, std::span<const BlockId> victims) {
  Impl& cache = *impl_;
  std::vector<BlockId> granted;
  while (granted.size() < n && !cache.free.empty()) {
    granted.push_back(cache.free.back());
    cache.free.pop_back();
    cache.grant(granted.back());
  }
  for (BlockId id : victims) {
    if (granted.size() >= n) break;
    const Block& block = cache.at(id);
    if (block.state != State::cached || block.children > 0) continue;  // used again since it was chosen
    cache.evict(id, EvictionReason::demand);
    cache.grant(id);
    granted.push_back(id);
  }
  return granted;
}

Key PrefixCache::root(std::string_view salt) const { return root_key(impl_->options.context, salt); }
std::vector<Touch> PrefixCache::take_touches() { return std::exchange(impl_->touches, {}); }
BlockCounts PrefixCache::counts() const { return impl_->counts; }
const EvictionCounts& PrefixCache::evictions() const { return impl_->evicted.counts(); }
void PrefixCache::reset() { impl_->clear(); }

std::string PrefixCache::check() const {
  const Impl& cache = *impl_;
  BlockCounts counted{0, 0, 0, cache.blocks.size()};
  std::vector<std::uint32_t> children(cache.blocks.size());
  std::size_t indexed = 0;
  for (std::size_t i = 0; i < cache.blocks.size(); ++i) {
    const Block& block = cache.blocks[i];
    const std::string name = "block " + std::to_string(i);
    if (block.state == State::free) ++counted.free;
    if (block.state == State::active) ++counted.active;
    if (block.state == State::cached) ++counted.cached;
    if ((block.state == State::active) != (block.refs > 0)) return name + " has a state that its references deny";
    if (block.state == State::cached && !block.indexed) return name + " is cached and not indexed";
    if (block.state == State::free && block.indexed) return name + " is free and indexed";
    if (!block.indexed) continue;
    ++indexed;
    const auto found = cache.index.find(block.key);
    if (found == cache.index.end() || found->second != static_cast<BlockId>(i)) return name + " is not under its key";
    if (block.tokens.empty() || block.tokens.size() > cache.options.block_tokens)
      return name + " holds no tokens, or too many";
    if (!cache.parts.holds(block.parent_key, static_cast<BlockId>(i), block.tokens)) {
      return name + " is not among its parent's blocks";
    }
    if (block.parent < 0) continue;
    const Block& parent = cache.blocks[static_cast<std::size_t>(block.parent)];
    if (parent.key != block.parent_key) return name + " has another parent than its key";
    if (parent.tokens.size() < cache.options.block_tokens) return name + " follows a tail";
    if (!parent.indexed) return name + " has lost its parent";
    ++children[static_cast<std::size_t>(block.parent)];
  }
  for (std::size_t i = 0; i < children.size(); ++i) {
    const Block& block = cache.blocks[i];
    if (block.indexed && block.children != children[i]) return "block " + std::to_string(i) + " miscounts its children";
  }
  if (indexed != cache.parts.size()) return "the parts have entries without a block";
  if (indexed != cache.index.size()) return "the index has entries without a block";
  if (cache.free.size() != counted.free) return "the free list has another length than there are free blocks";
  const BlockCounts& kept = cache.counts;
  if (kept.free != counted.free || kept.active != counted.active || kept.cached != counted.cached) {
    return "the counters differ from a recount";
  }
  return "";
}

}  // namespace headwater::cache
