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
    result.details.missed_tokens = static_cast<std::uint32_t>(tokens.size()) - 1 - result.cached_tokens;
    result.details.miss = cache.why_missing(place, tokens.subspan(place.depth * cache.options.block_tokens), result);
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
  const std::size_t size = impl_->options.block_tokens;
  Key parent = place->second.key;
  for (std::size_t at = place->second.depth * size; at + size < tokens.size(); at += size) {
    const auto part = tokens.subspan(at, size);
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
  const std::size_t size = cache.options.block_tokens;
  Place place = cache.places.at(request);
  release_copied(std::span(found.blocks).subspan(place.depth));
  found.blocks.resize(place.depth);
  found.cached_tokens = static_cast<std::uint32_t>(place.depth * size);
  for (std::uint32_t i = 0; i < blocks; ++i) {
    place.move_on(block_key(place.key, tokens.subspan(place.depth * size, size)), -1);
  }
  const auto next = tokens.subspan(place.depth * size);
  if (Tenant* tenant = cache.retention.tenants().find(place.keep.tenant); tenant != nullptr) {
    tenant->hit_tokens += blocks * size - found.details.copied_tokens;
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
    place.move_on(key, blocks[i]);
  }
}

void PrefixCache::release(RequestId request, std::span<const BlockId> blocks, std::span<const TokenId> tail) {
  Impl& cache = *impl_;
  if (const auto found = cache.places.find(request); found != cache.places.end()) {
    if (cache.options.enabled && !tail.empty()) cache.add_tail(found->second, blocks, tail);
    cache.pin(found->second);
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

bool PrefixCache::idle(BlockId id) const { return impl_->at(id).state == State::cached; }

CachedBlock PrefixCache::describe(BlockId id) const {
  const Block& block = impl_->at(id);
  if (!block.indexed) throw std::logic_error("block " + std::to_string(id) + " is not indexed");
  const Retention& retention = impl_->retention;
  const std::string& tenant = retention.tenants().at(retention.tenant(id)).digest;
  return {id,
          block.key,
          block.parent_key,
          block.tokens,
          block.depth,
          block.matched,
          {tenant_mark(tenant), retention.expires(id)}};
}

std::vector<BlockId> PrefixCache::reclaim(std::uint32_t n, std::span<const BlockId> victims,
                                          const std::function<void(const CachedBlock&)>& on_evict) {
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
    // Used again, or pinned, since it was chosen.
    if (block.state != State::cached || block.children > 0 || cache.retention.pinned(id)) continue;
    if (on_evict) on_evict(describe(id));
    cache.evict(id, cache.retention.over_quota(id) ? EvictionReason::quota : EvictionReason::demand);
    cache.grant(id);
    granted.push_back(id);
  }
  return granted;
}

std::vector<Touch> PrefixCache::take_touches() { return std::exchange(impl_->touches, {}); }
BlockCounts PrefixCache::counts() const { return impl_->counts; }
Key PrefixCache::root(std::string_view tenant, std::string_view salt) const {
  return root_key(impl_->options.context, tenant, salt);
}
const EvictionCounts& PrefixCache::evictions() const { return impl_->evicted.counts(); }
void PrefixCache::reset() { impl_->clear(); }

}  // namespace headwater::cache
