// What an operator asks of PrefixCache, and its self-check.

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>

#include "cache/prefix_cache_state.h"

namespace headwater::cache {

const Tenant* PrefixCache::Impl::find_tenant(const std::string& digest) const {
  for (const Tenant* tenant : retention.tenants().all()) {
    if (tenant->digest == digest) return tenant;
  }
  return nullptr;
}

MatchResult PrefixCache::Impl::peek(std::span<const TokenId> tokens, const CacheOwner& owner) {
  const Tenant* tenant = find_tenant(owner.tenant);
  if (!options.enabled || tenant == nullptr || tokens.empty()) return {};
  Place place{root_key(options.context, tenant->name, owner.salt)};
  return look_up(tokens, place);
}

bool PrefixCache::Impl::goes_on(BlockId leaf, const Place& place, std::span<const TokenId> next) const {
  const auto of = [&](BlockId id) -> const Block& { return blocks[static_cast<std::size_t>(id)]; };
  while (leaf >= 0 && of(leaf).depth > place.depth) leaf = of(leaf).parent;
  if (leaf < 0 || of(leaf).depth < place.depth || of(leaf).parent_key != place.key) return false;
  const std::span<const TokenId> tokens(of(leaf).tokens);
  const std::size_t both = std::min(tokens.size(), next.size());
  return std::ranges::equal(tokens.first(both), next.first(both));
}

void PrefixCache::Impl::count_blocks(CacheStatus& status) const {
  constexpr std::uint64_t kAgeBounds[] = {1'000, 10'000, 60'000, 600'000, 3'600'000};  // ms
  for (const std::uint64_t bound : kAgeBounds) status.ages.push_back({bound, 0});
  status.ages.push_back({0, 0});
  std::map<std::uint8_t, std::uint64_t> priorities;
  std::unordered_map<const Tenant*, std::uint64_t> tokens;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto id = static_cast<BlockId>(i);
    if (!blocks[i].indexed) continue;
    ++priorities[retention.priority(id)];
    tokens[&retention.tenants().at(retention.tenant(id))] += blocks[i].tokens.size();
    status.tokens += blocks[i].tokens.size();
    if (blocks[i].state != State::cached) continue;
    const auto age = static_cast<std::uint64_t>(now - retention.idle_since(id)) / 1'000'000;
    const auto bucket = std::ranges::find_if(kAgeBounds, [&](std::uint64_t bound) { return age <= bound; });
    ++status.ages[static_cast<std::size_t>(bucket - std::begin(kAgeBounds))].blocks;
  }
  for (const auto& [priority, count] : priorities) status.priorities.push_back({priority, count});
  for (const Tenant* tenant : retention.tenants().all()) {
    status.tenants.push_back({tenant->digest, tenant->blocks, tenant->cached, tenant->pinned, tokens[tenant],
                              tenant->query_tokens, tenant->hit_tokens});
  }
  status.tenants_total = status.tenants.size();
  std::ranges::sort(status.tenants, [](const auto& left, const auto& right) {
    return std::tie(right.blocks, left.tenant) < std::tie(left.blocks, right.tenant);
  });
  if (status.tenants.size() > kMostTenantsShown) status.tenants.resize(kMostTenantsShown);
}

CachePins PrefixCache::Impl::report_pins(const MatchResult& found, std::size_t changed) const {
  const auto pinned = std::ranges::count_if(found.blocks, [&](BlockId id) { return retention.pinned(id); });
  return {found.blocks.size(), found.cached_tokens, static_cast<std::uint64_t>(pinned), changed};
}

CachePins PrefixCache::pin(std::span<const TokenId> tokens, const CacheOwner& owner, TimeNs until) {
  Impl& cache = *impl_;
  const MatchResult found = cache.peek(tokens, owner);
  if (found.blocks.empty()) return {};
  const PinChange change = cache.retention.pin("", found.blocks.back(), until);
  cache.tell(change);
  return cache.report_pins(found, change.pinned.size());
}

CachePins PrefixCache::unpin(std::span<const TokenId> tokens, const CacheOwner& owner) {
  Impl& cache = *impl_;
  const MatchResult found = cache.peek(tokens, owner);
  std::size_t changed = 0;
  const auto end = [&](BlockId leaf) {
    const PinChange change = cache.retention.unpin(leaf);
    cache.tell(change);
    changed += change.unpinned.size();
  };
  for (const BlockId id : found.blocks) end(id);
  // A request's pin ends with its answer; and one that runs would make it when it ends.
  const Tenant* tenant = cache.find_tenant(owner.tenant);
  if (tenant == nullptr || tokens.empty()) return cache.report_pins(found, changed);
  Place place{root_key(cache.options.context, tenant->name, owner.salt)};
  while (cache.grid.end(place.depth) < tokens.size()) {
    place.move_on(block_key(place.key, cache.tokens_of(place.depth, tokens)), -1);
  }
  const auto next = tokens.subspan(cache.grid.begin(place.depth));
  for (const BlockId leaf : cache.retention.request_pins()) {
    if (cache.goes_on(leaf, place, next)) end(leaf);
  }
  for (auto& [request, running] : cache.places) {
    if (running.keep.session.empty() && cache.goes_on(running.block, place, next)) running.keep.pin = 0;
  }
  return cache.report_pins(found, changed);
}

void PrefixCache::end_session(const std::string& tenant, const std::string& session) {
  Impl& cache = *impl_;
  for (auto& [request, place] : cache.places) {
    if (place.keep.tenant == tenant && place.keep.session == session) place.keep.pin = 0;
  }
  cache.tell(cache.retention.unpin_session(Impl::session_name(tenant, session)));
}

std::uint64_t PrefixCache::flush(const std::optional<std::string>& tenant) {
  Impl& cache = *impl_;
  std::vector<std::pair<std::uint32_t, BlockId>> going;
  for (std::size_t i = 0; i < cache.blocks.size(); ++i) {
    const auto id = static_cast<BlockId>(i);
    const Block& block = cache.blocks[i];
    if (block.state == State::cached && !cache.retention.pinned(id)) going.emplace_back(block.depth, id);
  }
  if (tenant) {
    const Tenant* wanted = cache.find_tenant(*tenant);
    std::erase_if(going, [&](const auto& one) {
      return &cache.retention.tenants().at(cache.retention.tenant(one.second)) != wanted;
    });
  }
  std::ranges::sort(going, std::greater());  // those that follow others go before them
  for (const auto& [depth, id] : going) cache.give_up(id, EvictionReason::flush);
  return going.size();
}

CacheStatus PrefixCache::status() const {
  const Impl& cache = *impl_;
  CacheStatus status;
  status.block_tokens = cache.grid.tokens;
  status.total = cache.counts.total;
  status.free = cache.counts.free;
  status.active = cache.counts.active;
  status.cached = cache.counts.cached;
  status.pinned = cache.retention.pinned_blocks();
  status.max_pinned = cache.options.retention.max_pinned;
  status.tenant_quota = std::min<std::uint64_t>(cache.options.retention.tenant_quota, cache.counts.total);
  cache.count_blocks(status);
  return status;
}

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
    if (block.tokens.empty() || block.tokens.size() > cache.grid.size(block.depth))
      return name + " holds no tokens, or too many";
    if (!cache.parts.holds(block.parent_key, static_cast<BlockId>(i), block.tokens)) {
      return name + " is not among its parent's blocks";
    }
    if ((block.depth == 0) != (block.parent < 0)) return name + " has a depth that its parent denies";
    if (block.parent < 0) continue;
    const Block& parent = cache.blocks[static_cast<std::size_t>(block.parent)];
    if (parent.key != block.parent_key) return name + " has another parent than its key";
    if (!cache.whole(parent)) return name + " follows a tail";
    if (parent.depth + 1 != block.depth) return name + " has a depth that its parent denies";
    if (!parent.indexed) return name + " has lost its parent";
    ++children[static_cast<std::size_t>(block.parent)];
  }
  for (std::size_t i = 0; i < children.size(); ++i) {
    const Block& block = cache.blocks[i];
    if (block.indexed && block.children != children[i]) return "block " + std::to_string(i) + " miscounts its children";
  }
  if (indexed != cache.parts.size()) return "the parts have entries without a block";
  if (indexed != cache.index.size()) return "the index has entries without a block";
  if (cache.free.size() + cache.unbacked.size() != counted.free) {
    return "the free lists have another length than there are free blocks";
  }
  std::vector<char> known;
  std::vector<std::uint32_t> references;
  for (const Block& block : cache.blocks) {
    known.push_back(block.indexed ? 1 : 0);
    references.push_back(block.refs);
  }
  if (std::string wrong = cache.windows.check(known, references); !wrong.empty()) return wrong;
  const BlockCounts& kept = cache.counts;
  if (kept.free != counted.free || kept.active != counted.active || kept.cached != counted.cached) {
    return "the counters differ from a recount";
  }
  return "";
}

}  // namespace headwater::cache
