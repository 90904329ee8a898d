#include "cache/prefix_cache.h"

#include "cache/prefix_cache_state.h"

namespace headwater::cache {

PrefixCache::PrefixCache(PrefixCacheOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
PrefixCache::~PrefixCache() = default;

void PrefixCache::advance(TimeNs now) {
  Impl& cache = *impl_;
  cache.now = now;
  cache.tell(cache.retention.end_pins(now));
  while (const auto expired = cache.retention.expired(now)) {
    if (cache.at(*expired).children > 0) throw std::logic_error("a block has expired before those that follow it");
    cache.give_up(*expired, EvictionReason::expired);
  }
}

TimeNs PrefixCache::next_expiry() const { return impl_->retention.next_expiry(); }

MatchResult PrefixCache::match(RequestId request, std::span<const TokenId> tokens, std::string_view salt,
                               bool use_cache, const Keep& keep) {
  Impl& cache = *impl_;
  Place place{root(keep.tenant, salt), -1, 0, keep};
  MatchResult result;
  if (cache.options.enabled && use_cache && !tokens.empty()) {
    result = cache.look_up(tokens, place);
    for (const BlockId id : result.blocks) {
      cache.reference(id, keep);
      cache.at(id).matched = true;
    }
    const std::uint32_t cached = cache.grid.covering(result.cached_tokens);
    for (std::uint32_t i = result.first_window; i < cached; ++i) cache.windows.use(result.blocks[i]);
    if (result.refills(cache.grid)) {
      const auto end = static_cast<std::uint32_t>(result.blocks.size());
      for (std::size_t i = cache.first_seen(end); i < end; ++i) cache.windows.want(result.blocks[i]);
    }
    result.details.missed_tokens = static_cast<std::uint32_t>(tokens.size()) - 1 - result.cached_tokens;
    result.details.miss = cache.why_missing(place, tokens.subspan(cache.grid.begin(place.depth)), result);
    if (result.cached_tokens > 0) result.details.source = CacheSource::memory;
  } else {
    result.details.missed_tokens = static_cast<std::uint32_t>(std::max<std::size_t>(tokens.size(), 1)) - 1;
    result.details.miss = CacheMiss::bypassed;
  }
  if (Tenant* tenant = cache.retention.tenants().find(keep.tenant); tenant != nullptr) {
    tenant->query_tokens += tokens.size();
    tenant->hit_tokens += result.cached_tokens;
  }
  cache.places.insert_or_assign(request, std::move(place));
  return result;
}

std::vector<BlockName> PrefixCache::beyond(RequestId request, std::span<const TokenId> tokens,
                                           const std::function<bool(const Key&)>& wanted) const {
  const auto place = impl_->places.find(request);
  std::vector<BlockName> names;
  if (!impl_->options.enabled || place == impl_->places.end()) return names;
  Key parent = place->second.key;
  for (std::uint32_t depth = place->second.depth; impl_->grid.end(depth) < tokens.size(); ++depth) {
    const auto part = impl_->tokens_of(depth, tokens);
    const Key key = block_key(parent, part);
    if (!wanted(key)) break;
    names.push_back({key, parent, {part.begin(), part.end()}});
    parent = key;
  }
  return names;
}

void PrefixCache::add_restored(MatchResult& found, RequestId request, std::span<const TokenId> tokens,
                               std::uint32_t blocks) {
  Impl& cache = *impl_;
  Place place = cache.places.at(request);
  release_copied(std::span(found.blocks).subspan(place.depth));
  found.blocks.resize(place.depth);
  found.cached_tokens = cache.grid.begin(place.depth);
  for (std::uint32_t i = 0; i < blocks; ++i) {
    place.move_on(block_key(place.key, cache.tokens_of(place.depth, tokens)), -1);
  }
  const auto next = tokens.subspan(cache.grid.begin(place.depth));
  if (Tenant* tenant = cache.retention.tenants().find(place.keep.tenant); tenant != nullptr) {
    tenant->hit_tokens += cache.grid.begin(place.depth) - found.cached_tokens - found.details.copied_tokens;
  }
  found.details = {.copied_tokens = 0,
                   .source = CacheSource::disk,
                   .miss = CacheMiss::none,
                   .missed_tokens = static_cast<std::uint32_t>(next.size()) - 1};
  found.details.miss = cache.why_missing(place, next, found);
}

void PrefixCache::publish(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tokens) {
  Impl& cache = *impl_;
  const auto found = cache.places.find(request);
  if (!cache.options.enabled || found == cache.places.end()) return;
  Place& place = found->second;
  const std::uint32_t first = cache.grid.begin(place.depth);
  const auto end = static_cast<std::uint32_t>(place.depth + blocks.size());
  if (tokens.size() != cache.grid.begin(end) - first) {
    throw std::logic_error("blocks were published without their tokens");
  }
  for (const BlockId block : blocks) {
    const auto part = tokens.subspan(cache.grid.begin(place.depth) - first, cache.grid.size(place.depth));
    const Key key = block_key(place.key, part);
    const auto known = cache.index.find(key);
    if (known != cache.index.end() && known->second == block) {
      cache.windows.fill(block);
      place.move_on(key, block);
      continue;
    }
    if (known != cache.index.end()) {
      // A twin: another request computed the same side by side. What follows would hang below a block that this
      // request does not hold, and could keep it from ever being evicted; so the rest of the chain stays private.
      cache.places.erase(found);
      return;
    }
    cache.add(block, key, place, part);
    place.move_on(key, block);
  }
}

void PrefixCache::release(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tail,
                          const WindowSpan& windows) {
  Impl& cache = *impl_;
  if (const auto found = cache.places.find(request); found != cache.places.end()) {
    if (cache.options.enabled && !tail.empty()) cache.add_tail(found->second, blocks, tail);
    cache.pin(found->second);
    cache.places.erase(found);
  }
  // What nobody can find is free now, with the memory it has.
  for (std::size_t i = windows.first; i < windows.end; ++i) {
    if (cache.at(blocks[i]).indexed) cache.leave_window(blocks[i], true);
  }
  for (std::size_t i = blocks.size(); i > 0; --i) cache.drop(blocks[i - 1]);
}

void PrefixCache::pass(std::span<const BlockId> blocks) {
  for (BlockId id : blocks) impl_->leave_window(id, false);
}

void PrefixCache::refill(BlockId granted, BlockId block) {
  impl_->windows.exchange(granted, block);
  give_back(std::span(&granted, 1));
}

void PrefixCache::release_copied(std::span<const BlockId> blocks) {
  for (BlockId id : blocks) {
    impl_->leave_window(id, true);
    impl_->drop(id);
  }
}

void PrefixCache::give_back(std::span<const BlockId> blocks) {
  Impl& cache = *impl_;
  for (BlockId id : blocks) {
    Block& block = cache.at(id);
    if (block.state != State::active || block.indexed || block.refs != 1) {
      throw std::logic_error("block " + std::to_string(id) + " was given back and is not an unused grant");
    }
    block.refs = 0;
    cache.set_free(id);
  }
}

bool PrefixCache::idle(BlockId id) const { return impl_->at(id).state == State::cached; }

CachedBlock PrefixCache::describe(BlockId id) const { return impl_->describe(id); }

CachedBlock PrefixCache::Impl::describe(BlockId id) const {
  const auto of = [&](BlockId one) -> const Block& { return blocks.at(static_cast<std::size_t>(one)); };
  const Block& block = of(id);
  if (!block.indexed) throw std::logic_error("block " + std::to_string(id) + " is not indexed");
  bool complete = true;
  for (BlockId one = id; windows.exist() && one >= 0 && complete; one = of(one).parent) complete = windows.whole(one);
  const std::string& tenant = retention.tenants().at(retention.tenant(id)).digest;
  return {id,
          block.key,
          block.parent_key,
          block.tokens,
          block.depth,
          block.matched,
          {tenant_mark(tenant), retention.expires(id)},
          complete};
}

bool PrefixCache::Impl::evict_next(std::span<const BlockId> victims, std::size_t& next,
                                   const std::function<void(const CachedBlock&)>& on_evict) {
  while (next < victims.size()) {
    const BlockId id = victims[next++];
    const Block& block = at(id);
    // Used again, or pinned, since it was chosen.
    if (block.state != State::cached || block.children > 0 || retention.pinned(id)) continue;
    if (!(free.empty() && unbacked.empty()) && !windows.frees_memory(id)) continue;
    if (on_evict) on_evict(describe(id));
    give_up(id, retention.over_quota(id) ? EvictionReason::quota : EvictionReason::demand);
    return true;
  }
  return false;
}

BlockId PrefixCache::Impl::make_free(std::size_t n, std::span<const BlockId> victims, std::size_t& next,
                                     const std::function<void(const CachedBlock&)>& on_evict) {
  while (true) {
    if (free.empty() && unbacked.empty() && !evict_next(victims, next, on_evict)) return -1;
    const BlockId id = free.empty() ? unbacked.back() : free.back();
    if (windows.room_for(id)) {
      free.empty() ? unbacked.pop_back() : free.pop_back();
      return id;
    }
    if (windows.give_back_passed()) continue;
    if (free.size() > n) {
      windows.give_back_block(free.front());
      unbacked.push_back(free.front());
      free.pop_front();
    } else if (!evict_next(victims, next, on_evict) && !windows.give_back_kept()) {
      return -1;
    }
  }
}

std::vector<BlockId> PrefixCache::reclaim(std::uint32_t n, std::span<const BlockId> victims,
                                          const std::function<void(const CachedBlock&)>& on_evict) {
  Impl& cache = *impl_;
  std::vector<BlockId> granted;
  std::size_t next = 0;
  while (granted.size() < n) {
    const BlockId id = cache.make_free(n - granted.size(), victims, next, on_evict);
    if (id < 0) break;
    cache.grant(id);
    granted.push_back(id);
  }
  return granted;
}

GivenBack PrefixCache::take_given_back() { return impl_->windows.take_given_back(); }
std::vector<Touch> PrefixCache::take_touches() { return std::exchange(impl_->touches, {}); }
BlockCounts PrefixCache::counts() const { return impl_->counts; }
Key PrefixCache::root(std::string_view tenant, std::string_view salt) const {
  return root_key(impl_->options.context, tenant, salt);
}
KvBytes PrefixCache::bytes() const {
  if (impl_->windows.exist()) return impl_->windows.bytes();
  return {(impl_->counts.active + impl_->counts.cached) * impl_->options.window.full_bytes, 0};
}
const EvictionCounts& PrefixCache::evictions() const { return impl_->evicted.counts(); }
void PrefixCache::reset() { impl_->clear(); }

}  // namespace headwater::cache
