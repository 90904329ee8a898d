#include "match/match_desk.h"

#include <algorithm>
#include <utility>

namespace headwater::match {
namespace {

/// A request that wants its prompt scored needs every prompt row computed.
bool uses_cache(const schedule::RequestPtr& request) { return !request->request.params.prompt_logprobs.has_value(); }

}  // namespace

MatchDesk::MatchDesk(MatchDeskOptions options)
    : options_(std::move(options)),
      cache_(options_.cache),
      tier_(options_.tier),
      advisor_(options_.cache.total_blocks, options_.cache.grid, options_.eviction_policy) {}

void MatchDesk::advance(TimeNs now, bool tier) {
  now_ = now;
  has_tier_ = tier;
  cache_.advance(now);
  if (!tier) return;
  if (tier_.takes_open(now)) out_.open_tier = true;
  tier_.advance(now);
}

// ---- the path of a request ----

void MatchDesk::admit(const schedule::RequestPtr& request) {
  match(request, request->prompt);
  if (!options_.cache.enabled || !uses_cache(request)) return;
  advisor_.look_up(cache_.root(request->request.tenant, request->request.cache_salt), request->prompt);
}

void MatchDesk::match(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens) {
  const bool use_cache = uses_cache(request);
  cache::MatchResult found =
      cache_.match(request->id, tokens, request->request.cache_salt, use_cache, options_.keep(request->request));
  if (use_cache && has_tier_ && load(request, tokens, found)) return;
  hand_on(request, tokens, std::move(found), {});
}

/// Whether the request waits for what the tier has of its prompt.
bool MatchDesk::load(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens,
                     cache::MatchResult& found) {
  if (found.refills(options_.cache.grid)) return false;
  auto chain = cache_.beyond(request->id, tokens, [this](const cache::Key& key) { return tier_.knows(key); });
  if (chain.empty()) return false;
  const std::uint32_t depth = options_.cache.grid.whole(found.cached_tokens);
  const cache::TierLoad load = tier_.takes_load(request->id, depth, static_cast<std::uint32_t>(chain.size()), now_);
  if (load.blocks == 0) return false;
  chain.resize(load.blocks);
  waiting_.emplace(load.number, Waiting{request, tokens, std::move(found)});
  out_.loads.push_back({load.number, std::move(chain), load.read_until, load.wait_until});
  return true;
}

void MatchDesk::hand_on(const schedule::RequestPtr& request, std::vector<TokenId> tokens, cache::MatchResult found,
                        std::vector<cache::BlockBytes> restored) {
  out_.matched.push_back({request, std::move(tokens), std::move(found.blocks), found.cached_tokens, found.details,
                          std::move(restored), found.first_window});
}

/// The request goes on with what has been loaded of its prompt, if it still waits.
void MatchDesk::go_on(std::uint64_t load, std::vector<cache::BlockBytes> restored) {
  const auto node = waiting_.extract(load);
  if (node.empty()) return;
  Waiting& waiting = node.mapped();
  if (!restored.empty()) {
    cache_.add_restored(waiting.found, waiting.request->id, waiting.tokens,
                        static_cast<std::uint32_t>(restored.size()));
  }
  hand_on(waiting.request, std::move(waiting.tokens), std::move(waiting.found), std::move(restored));
}

void MatchDesk::cancel(RequestId id) {
  const auto waiting = std::ranges::find_if(waiting_, [&](const auto& one) { return one.second.request->id == id; });
  if (waiting == waiting_.end()) return;
  const std::uint64_t load = waiting->first;
  tier_.give_up(load, false, now_);
  go_on(load, {});
}

void MatchDesk::apply(const schedule::CacheChanges& changes, double prefill_speed) {
  tier_.set_prefill_speed(prefill_speed);
  for (const schedule::FilledBlocks& filled : changes.filled) {
    tier_.on_settled(filled.id);
    cache_.publish(filled.id, filled.blocks, filled.tokens);
  }
  cache_.pass(changes.passed);
  for (const schedule::ReleasedBlocks& released : changes.released) {
    tier_.on_settled(released.id);
    cache_.release(released.id, released.blocks, released.tail, released.windows);
  }
  cache_.release_copied(changes.copied);
  for (const schedule::Refill& refill : changes.refills) cache_.refill(refill.granted, refill.block);
  cache_.give_back(changes.returned);
  for (const schedule::Rematch& rematch : changes.rematch) match(rematch.request, rematch.tokens);
}

void MatchDesk::reclaim(std::uint32_t blocks, std::span<const BlockId> victims, bool again) {
  Grant grant{.asked = blocks, .blocks = {}, .saves = {}};
  std::function<void(const cache::CachedBlock&)> on_evict;
  if (has_tier_) on_evict = [&](const cache::CachedBlock& block) { offer(block, grant.saves); };
  grant.blocks = cache_.reclaim(blocks, victims, on_evict);
  // The evictor chose before it heard of the blocks that are idle now: with that word on its way, it is asked anew.
  if (grant.blocks.empty() && !again && cache_.counts().cached > 0) {
    out_.demand = blocks;
  } else {
    out_.grant = std::move(grant);
  }
}

// ---- the tier ----

void MatchDesk::on_opened(const cache::OpenOutcome& outcome, bool fresh) {
  if (fresh) tier_.reset();
  tier_.on_open(outcome, now_);
}

void MatchDesk::on_loaded(std::uint64_t load, cache::LoadOutcome outcome) {
  tier_.on_loaded(load, outcome, now_);
  go_on(load, std::move(outcome.blocks));
}

void MatchDesk::on_late(std::uint64_t load) {
  if (!waiting_.contains(load)) return;
  tier_.give_up(load, true, now_);
  go_on(load, {});
}

void MatchDesk::offer(const cache::CachedBlock& block, std::vector<schedule::BlockSave>& saves) {
  if (block.complete && tier_.takes_save(block)) saves.push_back({block.block, block.name(), block.terms});
}

// ---- what an operator asks ----

CacheFlush MatchDesk::flush(const std::optional<std::string>& tenant) {
  CacheFlush flushed;
  flushed.blocks = cache_.flush(tenant);
  collect_touches();  // what is offered to the tier before it is flushed goes with the rest
  if (has_tier_) flushed.tier_blocks = tier_.flush(tenant);
  return flushed;
}

CachePins MatchDesk::pin(std::span<const TokenId> tokens, const CacheOwner& owner, std::optional<TimeNs> until) {
  return until ? cache_.pin(tokens, owner, *until) : cache_.unpin(tokens, owner);
}

CacheStatus MatchDesk::status() const {
  CacheStatus status = cache_.status();
  if (has_tier_) status.tier = tier_.holdings();
  return status;
}

CacheAdvice MatchDesk::advise() const {
  const cache::WindowOptions& window = options_.cache.window;
  // Where layers have windows, blocks have more or less.
  return advisor_.advise(window.tokens > 0 ? window.pool_bytes / options_.cache.total_blocks
                                           : options_.tier.block_bytes);
}

// ---- what comes of it ----

/// Blocks that nobody uses any more are saved before they must go, so that a restart finds them.
void MatchDesk::collect_touches() {
  const std::vector<cache::Touch> touches = cache_.take_touches();
  advisor_.on_touches(touches);
  out_.touches.insert(out_.touches.end(), touches.begin(), touches.end());
  if (!has_tier_) return;
  for (const cache::Touch& touch : touches) {
    if (touch.kind != cache::Touch::Kind::idle || !cache_.idle(touch.block)) continue;
    offer(cache_.describe(touch.block), out_.saves);
  }
}

MatchOutput MatchDesk::poll() {
  collect_touches();
  out_.given_back = cache_.take_given_back();
  return std::exchange(out_, {});
}

bool MatchDesk::expects_expiry() const {
  const bool troubled = has_tier_ && tier_.troubled();
  return troubled || std::min(cache_.next_expiry(), tier_.next_expiry()) != cache::kNever;
}

void MatchDesk::reset() {
  cache_.reset();
  tier_.reset();
  waiting_.clear();
  out_ = {};
}

}  // namespace headwater::match
