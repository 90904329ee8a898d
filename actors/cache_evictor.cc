// Chooses which cached blocks to give up when the scheduler needs some (cache::Evictor).

#include "actors/cache_controls.h"
#include "actors/stage.h"
#include "cache/eviction.h"
#include "cache/eviction_ages.h"

namespace headwater::actors {
namespace {

std::unique_ptr<cache::EvictionPolicy> policy_for(const StageContext& context) {
  auto policy = cache::make_policy(context.stage.text("policy"), context.assets->total_blocks);
  if (!policy) throw std::invalid_argument(policy.error().message);  // the topology check has let it pass
  return std::move(policy).value();
}

class CacheEvictor : public StageActor {
 public:
  CacheEvictor(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context),
        evictor_(policy_for(context), context.assets->total_blocks,
                 retention_options(context.cache, context.assets->total_blocks).tenant_quota),
        ages_(context.assets->total_blocks) {}

 private:
  caf::message_handler handlers() override {
    return {
        on<const CacheTouches>([this](const CacheTouches& message) {
          evictor_.on_touches(message.touches, now());
          ages_.on_touches(message.touches, now());
        }),
        on<const BlockDemand>([this](const BlockDemand& demand) {
          send(peers().prefix_matcher,
               ReclaimBlocks{epoch(), demand.blocks,
                             evictor_.victims(demand.blocks * cache::victims_for_one(assets().window)), demand.again});
        }),
    };
  }

  void on_reset() override { evictor_.reset(); }

  Stats stats() override {
    Stats stats;
    stats.eviction_age_seconds_sum = ages_.seconds().sum();
    stats.eviction_age_seconds_counts = ages_.seconds().counts();
    return stats;
  }

  cache::Evictor evictor_;
  cache::EvictionAges ages_;
};

}  // namespace

caf::actor spawn_cache_evictor(caf::actor_system& system, const StageContext& context) {
  return system.spawn<CacheEvictor>(context);
}

}  // namespace headwater::actors
