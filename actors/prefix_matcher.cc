// Looks up what of a prompt is cached, and keeps the books of every KV block (cache::PrefixCache).

#include "actors/cache_controls.h"
#include "actors/stage.h"
#include "cache/prefix_cache.h"
#include "cache/size_advisor.h"

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
  options.retention = retention_options(context.cache, context.assets->total_blocks);
  return options;
}

class PrefixMatcher : public StageActor {
 public:
  PrefixMatcher(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context),
        cache_(options_for(context)),
        advisor_(context.assets->total_blocks, context.assets->block_tokens) {}

 private:
  caf::message_handler handlers() override {
    return {
        [this](const TokenizedRequest& message) {
          cache_.advance(now());
          if (current(message.epoch)) take(message.request);
          report_touches();
        },
        [this](const CacheUpdate& update) {
          cache_.advance(now());
          if (current(update.epoch)) apply(update);
          report_touches();
        },
        [this](const ReclaimBlocks& reclaim) {
          cache_.advance(now());
          if (current(reclaim.epoch)) grant(reclaim);
        },
        [this](const CacheAdviceQuery&) { return CacheAdviceReply{advisor_.advise(block_bytes())}; },
        [this](const ExpiryTick&) {
          ticking_ = false;
          cache_.advance(now());
          report_touches();
        },
        [this](const CacheStatusQuery&) {
          cache_.advance(now());
          report_touches();
          return cache_.status();
        },
        [this](const FlushCache& flush) {
          const std::uint64_t flushed = cache_.flush(flush.tenant);
          report_touches();
          return flushed;
        },
        [this](const PinPrompt& pin) {
          cache_.advance(now());
          const CachePins pins =
              pin.until ? cache_.pin(pin.tokens, pin.owner, *pin.until) : cache_.unpin(pin.tokens, pin.owner);
          report_touches();
          return pins;
        },
    };
  }

  void grant(const ReclaimBlocks& reclaim) {
    std::vector<BlockId> blocks = cache_.reclaim(reclaim.blocks, reclaim.victims);
    report_touches();
    // The evictor chose before it heard of the blocks that are idle now: with that word on its way, it is asked anew.
    if (blocks.empty() && !reclaim.again && cache_.counts().cached > 0) {
      send(single("cache_evictor"), BlockDemand{epoch(), reclaim.blocks, true});
    } else {
      send(single("scheduler"), BlockGrant{epoch(), reclaim.blocks, std::move(blocks)});
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
    cache::MatchResult found = cache_.match(request->id, tokens, request->request.cache_salt, uses_cache(request),
                                            keep_for(request->request, context().cache));
    send(successor(request->id),
         MatchedRequest{epoch(), {request, tokens, std::move(found.blocks), found.cached_tokens, found.details}});
  }

  void apply(const CacheUpdate& update) {
    for (const auto& filled : update.filled) cache_.publish(filled.id, filled.blocks, filled.tokens);
    for (const auto& released : update.released) cache_.release(released.id, released.blocks, released.tail);
    cache_.release_copied(update.copied);
    cache_.give_back(update.returned);
    for (const auto& rematch : update.rematch) match(rematch.request, rematch.tokens);
  }

  /// The evictor lives on what it hears here. Sent before any grant, so that a demand that the scheduler makes in
  /// answer finds the evictor informed.
  void report_touches() {
    std::vector<cache::Touch> touches = cache_.take_touches();
    advisor_.on_touches(touches);
    if (!touches.empty()) send(single("cache_evictor"), CacheTouches{epoch(), std::move(touches)});
    if (ticking_ || cache_.next_expiry() == cache::kNever) return;
    ticking_ = true;
    delayed_send(this, kTick, ExpiryTick{});
  }

  std::uint64_t block_bytes() const { return assets().info.kv_bytes_per_token * assets().block_tokens; }

  void on_reset() override { cache_.reset(); }

  StageStats stats() override {
    StageStats stats;
    stats.blocks = cache_.counts();
    stats.evictions = cache_.evictions();
    return stats;
  }

  cache::PrefixCache cache_;
  cache::SizeAdvisor advisor_;
  bool ticking_ = false;
};

}  // namespace

caf::actor spawn_prefix_matcher(caf::actor_system& system, const StageContext& context) {
  return system.spawn<PrefixMatcher>(context);
}

}  // namespace headwater::actors
