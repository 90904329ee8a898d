// Looks up what of a prompt is cached, and keeps the books of every KV block (cache::PrefixCache). Where there is a
// slower tier, it decides what goes there and has prompts wait for what comes from there (cache::TierBooks).

#include <functional>
#include <optional>
#include <unordered_map>

#include "actors/cache_controls.h"
#include "actors/cache_tier.h"
#include "actors/stage.h"
#include "cache/prefix_cache.h"
#include "cache/size_advisor.h"
#include "cache/tier/tier_books.h"

namespace headwater::actors {
namespace {

/// How often what has expired is given up where nothing else happens.
constexpr auto kTick = std::chrono::seconds(1);

struct ExpiryTick {};

}  // namespace
}  // namespace headwater::actors
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::ExpiryTick)

namespace headwater::actors {
namespace {

cache::PrefixCacheOptions options_for(const StageContext& context) {
  cache::PrefixCacheOptions options;
  options.total_blocks = context.assets->total_blocks;
  options.block_tokens = context.assets->block_tokens;
  options.enabled = context.cache.enable_prefix_caching;
  options.match_threshold = context.cache.prefix_match_threshold;
  options.context.model_digest = context.assets->model_digest;
  options.context.kv_format = kernels::quant_policy(context.cache.format);
  options.context.compute = context.assets->compute;
  options.retention = retention_options(context.cache, context.assets->total_blocks);
  return options;
}

cache::TierBooksOptions tier_options_for(const StageContext& context) {
  cache::TierBooksOptions options;
  options.block_tokens = context.assets->block_tokens;
  options.block_bytes = block_bytes(context);
  constexpr std::uint64_t kMostSaveBytes = 256 << 20;
  options.max_saves =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kMostSaveBytes / options.block_bytes, 16, 4096));
  options.max_staged = std::max(context.assets->total_blocks / 4, 16U);
  options.tenant_quota = context.cache.tenant_quota;
  return options;
}

class PrefixMatcher : public StageActor {
 public:
  PrefixMatcher(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context),
        cache_(options_for(context)),
        tier_(tier_options_for(context)),
        advisor_(context.assets->total_blocks, context.assets->block_tokens) {}

 private:
  /// A request that waits for the tier. It holds what memory has of its prompt.
  struct Loading {
    RequestPtr request;
    std::vector<TokenId> tokens;
    cache::MatchResult found;
  };

  caf::message_handler handlers() override {
    return caf::message_handler{
        on<const TokenizedRequest>([this](const TokenizedRequest& message) { take(message.request); }),
        on<const CacheUpdate>([this](const CacheUpdate& update) { apply(update); }),
        on<const ReclaimBlocks>([this](const ReclaimBlocks& reclaim) { grant(reclaim); }),
        [this](const CacheAdviceQuery&) { return CacheAdviceReply{advisor_.advise(block_bytes(context()))}; },
        on<const ExpiryTick>([this](const ExpiryTick&) { ticking_ = false; }),
        on<const CacheStatusQuery>([this](const CacheStatusQuery&) {
          CacheStatus status = cache_.status();
          if (tier()) status.tier = tier_.holdings();
          return status;
        }),
        on<const FlushCache>([this](const FlushCache& flush) { return this->flush(flush); }),
        on<const EndSession>([this](const EndSession& end) { cache_.end_session(end.tenant, end.session); }),
        on<const PinPrompt>([this](const PinPrompt& pin) {
          return pin.until ? cache_.pin(pin.tokens, pin.owner, *pin.until) : cache_.unpin(pin.tokens, pin.owner);
        }),
    }
        .or_else(tier_handlers());
  }

  caf::message_handler tier_handlers() {
    return {
        on<const TierOpened>([this](const TierOpened& opened) {
          if (opened.fresh) tier_.reset();
          tier_.on_open(opened.outcome, now());
          erase_from_tier();
        }),
        on<const TierSaved>([this](const TierSaved& saved) {
          tier_.on_saved(saved.outcome, now());
          erase_from_tier();
        }),
        on<TierLoaded>([this](TierLoaded& loaded) {
          tier_.on_loaded(loaded.number, loaded.outcome, now());
          go_on(loaded.number, std::move(loaded.outcome.blocks));
        }),
        on<const LoadLate>([this](const LoadLate& late) {
          if (!loading_.contains(late.number)) return;
          tier_.give_up(late.number, true, now());
          go_on(late.number, {});
        }),
    };
  }

  /// Everything here happens at the time that it is told by.
  void before_message() override {
    const TimeNs time = now();
    cache_.advance(time);
    if (!tier()) return;
    tier_.advance(time);
    erase_from_tier();
  }

  void grant(const ReclaimBlocks& reclaim) {
    std::vector<schedule::BlockSave> saves;
    std::vector<BlockId> blocks = cache_.reclaim(reclaim.blocks, reclaim.victims, [&](const cache::CachedBlock& block) {
      if (tier()) offer(block, saves);
    });
    after_message();
    // The evictor chose before it heard of the blocks that are idle now: with that word on its way, it is asked anew.
    if (blocks.empty() && !reclaim.again && cache_.counts().cached > 0) {
      send(peers().cache_evictor, BlockDemand{epoch(), reclaim.blocks, true});
    } else {
      send(peers().scheduler, BlockGrant{epoch(), reclaim.blocks, std::move(blocks), std::move(saves)});
    }
  }

  /// A request that wants its prompt scored needs every prompt row computed.
  static bool uses_cache(const RequestPtr& request) { return !request->request.params.prompt_logprobs.has_value(); }

  void take(const RequestPtr& request) {
    match(request, request->prompt);
    if (!context().cache.enable_prefix_caching || !uses_cache(request)) return;
    advisor_.look_up(cache_.root(request->request.tenant, request->request.cache_salt), request->prompt);
  }

  void match(const RequestPtr& request, const std::vector<TokenId>& tokens) {
    const bool use_cache = uses_cache(request);
    cache::MatchResult found = cache_.match(request->id, tokens, request->request.cache_salt, use_cache,
                                            keep_for(request->request, context().cache));
    if (use_cache && tier() && load(request, tokens, found)) return;
    hand_on(request, tokens, std::move(found), {});
  }

  void hand_on(const RequestPtr& request, std::vector<TokenId> tokens, cache::MatchResult found,
               std::vector<cache::BlockBytes> restored) {
    send(successor(request->id), MatchedRequest{epoch(),
                                                {request, std::move(tokens), std::move(found.blocks),
                                                 found.cached_tokens, found.details, std::move(restored)}});
  }

  // ---- the tier ----

  const caf::actor& tier() const { return peers().cache_tier; }

  caf::result<CacheFlush> flush(const FlushCache& flush) {
    CacheFlush flushed;
    flushed.blocks = cache_.flush(flush.tenant);
    after_message();
    if (!tier()) return flushed;
    flushed.tier_blocks = tier_.flush(flush.tenant);
    auto answer = make_response_promise<CacheFlush>();
    erase_from_tier([answer, flushed](bool erased) mutable {
      flushed.tier_pending = !erased;
      answer.deliver(flushed);
    });
    return answer;
  }

  /// Has the tier erase what is to be, if it is open, and then calls `done`.
  void erase_from_tier(std::function<void(bool)> done = [](bool) {}) {
    cache::Erasure what = tier_.take_erasure();
    if (what.empty()) return done(tier_.open());
    request(tier(), caf::infinite, EraseBlocks{what})
        .then(
            [this, what, done](const cache::EraseOutcome& outcome) {
              tier_.on_erased(what, outcome, now());
              done(outcome.error.empty());
            },
            [done](const caf::error&) { done(false); });
  }

  /// Whether the request waits for what the tier has of its prompt.
  bool load(const RequestPtr& request, const std::vector<TokenId>& tokens, cache::MatchResult& found) {
    if (tier_.takes_open(now())) send(tier(), OpenTier{epoch()});
    auto chain = cache_.beyond(request->id, tokens, [this](const cache::Key& key) { return tier_.knows(key); });
    if (chain.empty()) return false;
    const auto load = tier_.takes_load(request->id, static_cast<std::uint32_t>(chain.size()), now());
    if (load.blocks == 0) return false;
    chain.resize(load.blocks);
    loading_.emplace(load.number, Loading{request, tokens, std::move(found)});
    send(tier(), LoadBlocks{epoch(), load.number, std::move(chain), load.read_until});
    delayed_send(this, std::chrono::nanoseconds(load.wait_until - now()), LoadLate{epoch(), load.number});
    return true;
  }

  /// The request goes on with what has been loaded of its prompt, if it still waits.
  void go_on(std::uint64_t number, std::vector<cache::BlockBytes> restored) {
    const auto node = loading_.extract(number);
    if (node.empty()) return;
    Loading& waiting = node.mapped();
    if (!restored.empty()) {
      cache_.add_restored(waiting.found, waiting.request->id, waiting.tokens,
                          static_cast<std::uint32_t>(restored.size()));
    }
    hand_on(waiting.request, std::move(waiting.tokens), std::move(waiting.found), std::move(restored));
  }

  /// Nothing overtakes a request on its path, and so its cancel follows it.
  void on_cancel(CancelRequests& cancel) override {
    for (RequestId id : cancel.ids) {
      const auto waiting =
          std::ranges::find_if(loading_, [&](const auto& one) { return one.second.request->id == id; });
      if (waiting == loading_.end()) continue;
      const std::uint64_t number = waiting->first;
      tier_.give_up(number, false, now());
      go_on(number, {});
    }
    StageActor::on_cancel(cancel);
  }

  void offer(const cache::CachedBlock& block, std::vector<schedule::BlockSave>& saves) {
    if (tier_.takes_save(block)) saves.push_back({block.block, block.name(), block.terms});
  }

  /// Blocks that nobody uses any more are saved before they must go, so that a restart finds them.
  void save_idle(const std::vector<cache::Touch>& touches) {
    std::vector<schedule::BlockSave> saves;
    for (const cache::Touch& touch : touches) {
      if (touch.kind != cache::Touch::Kind::idle || !cache_.idle(touch.block)) continue;
      offer(cache_.describe(touch.block), saves);
    }
    if (!saves.empty()) send(peers().scheduler, SaveBlocks{epoch(), std::move(saves)});
  }

  void apply(const CacheUpdate& update) {
    tier_.set_prefill_speed(update.prefill_speed);
    for (const auto& filled : update.filled) {
      tier_.on_settled(filled.id);
      cache_.publish(filled.id, filled.blocks, filled.tokens);
    }
    for (const auto& released : update.released) {
      tier_.on_settled(released.id);
      cache_.release(released.id, released.blocks, released.tail);
    }
    cache_.release_copied(update.copied);
    cache_.give_back(update.returned);
    for (const auto& rematch : update.rematch) match(rematch.request, rematch.tokens);
  }

  /// The evictor lives on what it hears here. Sent before any grant, so that a demand that the scheduler makes in
  /// answer finds the evictor informed.
  void after_message() override {
    std::vector<cache::Touch> touches = cache_.take_touches();
    advisor_.on_touches(touches);
    if (tier()) save_idle(touches);
    if (!touches.empty()) send(peers().cache_evictor, CacheTouches{epoch(), std::move(touches)});
    if (ticking_ || std::min(cache_.next_expiry(), tier_.next_expiry()) == cache::kNever) return;
    ticking_ = true;
    delayed_send(this, kTick, ExpiryTick{});
  }

  void on_reset() override {
    cache_.reset();
    tier_.reset();
    loading_.clear();
  }

  StageStats stats() override {
    StageStats stats;
    stats.blocks = cache_.counts();
    stats.evictions = cache_.evictions();
    if (tier()) stats.tier = tier_.stats();
    return stats;
  }

  cache::PrefixCache cache_;
  cache::TierBooks tier_;
  std::unordered_map<std::uint64_t, Loading> loading_;  ///< by the load's number
  cache::SizeAdvisor advisor_;
  bool ticking_ = false;
};

}  // namespace

caf::actor spawn_prefix_matcher(caf::actor_system& system, const StageContext& context) {
  return system.spawn<PrefixMatcher>(context);
}

}  // namespace headwater::actors
