// Looks up what of a prompt is cached, and keeps the books of every KV block (match::MatchDesk).

#include <algorithm>
#include <functional>

#include "actors/cache_controls.h"
#include "actors/stage.h"
#include "match/match_desk.h"

namespace headwater::actors {
namespace {

/// How often what has expired is given up, and a tier in trouble looked at, where nothing else happens.
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
  options.grid = context.assets->grid;
  options.enabled = context.cache.enable_prefix_caching;
  options.match_threshold = context.cache.prefix_match_threshold;
  options.context.model_digest = context.assets->model_digest;
  options.context.kv_format = kernels::quant_policy(context.cache.format);
  options.context.compute = context.assets->compute;
  options.retention = retention_options(context.cache, context.assets->total_blocks);
  options.window = context.assets->window;
  return options;
}

cache::TierBooksOptions tier_options_for(const StageContext& context) {
  cache::TierBooksOptions options;
  options.grid = context.assets->grid;
  options.block_bytes = context.assets->block_bytes;
  constexpr std::uint64_t kMostSaveBytes = 256 << 20;
  options.max_saves =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kMostSaveBytes / options.block_bytes, 16, 4096));
  const std::uint64_t pool = context.assets->window.pool_bytes / options.block_bytes;
  options.max_staged = static_cast<std::uint32_t>(std::max<std::uint64_t>(pool / 4, 16));
  options.tenant_quota = context.cache.tenant_quota;
  return options;
}

match::MatchDeskOptions desk_options_for(const StageContext& context) {
  return {.cache = options_for(context),
          .tier = tier_options_for(context),
          .eviction_policy = context.eviction_policy,
          .keep = [spec = context.cache](const Request& request) { return keep_for(request, spec); }};
}

class PrefixMatcher : public StageActor {
 public:
  PrefixMatcher(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context), desk_(desk_options_for(context)) {}

 private:
  caf::message_handler handlers() override {
    return caf::message_handler{
        on<const TokenizedRequest>([this](const TokenizedRequest& message) { desk_.admit(message.request); }),
        on<const CacheUpdate>([this](const CacheUpdate& update) { desk_.apply(update.changes, update.prefill_speed); }),
        on<const ReclaimBlocks>(
            [this](const ReclaimBlocks& reclaim) { desk_.reclaim(reclaim.blocks, reclaim.victims, reclaim.again); }),
        on<const ExpiryTick>([this](const ExpiryTick&) { ticking_ = false; }),
        on<const CacheAdviceQuery>([this](const CacheAdviceQuery&) { return CacheAdviceReply{desk_.advise()}; }),
        on<const CacheStatusQuery>([this](const CacheStatusQuery&) { return desk_.status(); }),
        on<const FlushCache>([this](const FlushCache& flush) { return this->flush(flush); }),
        on<const EndSession>([this](const EndSession& end) { desk_.end_session(end.tenant, end.session); }),
        on<const PinPrompt>([this](const PinPrompt& pin) { return desk_.pin(pin.tokens, pin.owner, pin.until); }),
    }
        .or_else(tier_handlers());
  }

  caf::message_handler tier_handlers() {
    return {
        on<const TierOpened>([this](const TierOpened& opened) { desk_.on_opened(opened.outcome, opened.fresh); }),
        on<const TierHung>([this](const TierHung&) { desk_.on_hung(); }),
        on<const TierSaved>([this](const TierSaved& saved) { desk_.on_saved(saved.outcome); }),
        on<TierLoaded>([this](TierLoaded& loaded) { desk_.on_loaded(loaded.number, std::move(loaded.outcome)); }),
        on<const LoadLate>([this](const LoadLate& late) { desk_.on_late(late.number); }),
    };
  }

  void before_message() override { desk_.advance(now(), static_cast<bool>(tier())); }

  void after_message() override {
    tell(desk_.poll());
    if (tier()) erase_from_tier();
    if (ticking_ || !desk_.expects_expiry()) return;
    ticking_ = true;
    delayed_send(this, kTick, ExpiryTick{});
  }

  void tell(match::MatchOutput output) {
    if (output.open_tier) send(tier(), OpenTier{epoch()});
    for (match::Load& load : output.loads) {
      send(tier(), LoadBlocks{epoch(), load.number, std::move(load.chain), load.read_until});
      delayed_send(this, std::chrono::nanoseconds(load.wait_until - now()), LoadLate{epoch(), load.number});
    }
    if (!output.given_back.empty()) send(peers().scheduler, GiveBack{epoch(), std::move(output.given_back)});
    for (schedule::MatchedSequence& sequence : output.matched) {
      const caf::actor& next = successor(sequence.request->id);
      send(next, MatchedRequest{epoch(), std::move(sequence)});
    }
    if (!output.touches.empty()) send(peers().cache_evictor, CacheTouches{epoch(), std::move(output.touches)});
    if (!output.saves.empty()) send(peers().scheduler, SaveBlocks{epoch(), std::move(output.saves)});
    if (output.grant) {
      match::Grant& grant = *output.grant;
      send(peers().scheduler, BlockGrant{epoch(), grant.asked, std::move(grant.blocks), std::move(grant.saves)});
    }
    if (output.demand > 0) send(peers().cache_evictor, BlockDemand{epoch(), output.demand, true});
  }

  /// Nothing overtakes a request on its path, and so its cancel follows it.
  void on_cancel(CancelRequests& cancel) override {
    before_message();
    for (RequestId id : cancel.ids) desk_.cancel(id);
    after_message();
    StageActor::on_cancel(cancel);
  }

  // ---- the tier ----

  const caf::actor& tier() const { return peers().cache_tier; }

  caf::result<CacheFlush> flush(const FlushCache& flush) {
    CacheFlush flushed = desk_.flush(flush.tenant);
    if (!tier()) return flushed;
    auto answer = make_response_promise<CacheFlush>();
    erase_from_tier([answer, flushed](bool erased) mutable {
      flushed.tier_pending = !erased;
      answer.deliver(flushed);
    });
    return answer;
  }

  /// Has the tier erase what is to be, if it is open, and then calls `done`.
  void erase_from_tier(const std::function<void(bool)>& done = [](bool) {}) {
    cache::Erasure what = desk_.take_erasure();
    if (what.empty()) return done(desk_.tier_open());
    request(tier(), caf::infinite, EraseBlocks{what})
        .then(
            [this, what, done](const cache::EraseOutcome& outcome) {
              before_message();
              desk_.on_erased(what, outcome);
              after_message();
              done(outcome.error.empty());
            },
            [done](const caf::error&) { done(false); });
  }

  void on_reset() override { desk_.reset(); }

  Stats stats() override {
    Stats stats;
    const cache::BlockCounts blocks = desk_.counts();
    stats.blocks_free = blocks.free;
    stats.blocks_active = blocks.active;
    stats.blocks_cached = blocks.cached;
    stats.evictions = desk_.evictions();
    const cache::KvBytes bytes = desk_.bytes();
    stats.kv_full_bytes = bytes.full;
    stats.kv_window_bytes = bytes.window;
    if (tier()) stats.tier = desk_.tier_stats();
    return stats;
  }

  match::MatchDesk desk_;
  bool ticking_ = false;
};

}  // namespace

caf::actor spawn_prefix_matcher(caf::actor_system& system, const StageContext& context) {
  return system.spawn<PrefixMatcher>(context);
}

}  // namespace headwater::actors
