// Decides what runs next (schedule::Scheduler) and tells executor, prefix_matcher and cache_evictor.

#include "schedule/scheduler.h"

#include "actors/stage.h"
#include "actors/step_histogram.h"
#include "base/trace.h"
#include "schedule/prefill_speed.h"

namespace headwater::actors {
namespace {

schedule::SchedulerOptions options_for(const StageContext& context) {
  schedule::SchedulerOptions options;
  options.max_batch_size = static_cast<std::uint32_t>(context.stage.integer("max_batch_size"));
  options.max_step_tokens = static_cast<std::uint32_t>(context.stage.integer("max_step_tokens"));
  options.prefill_chunk = static_cast<std::uint32_t>(context.stage.integer("prefill_chunk"));
  options.mixed_prefill_tokens = static_cast<std::uint32_t>(context.stage.integer("mixed_prefill_tokens"));
  options.draft_tokens = static_cast<std::uint32_t>(context.stage.integer("draft_tokens"));
  options.grid = context.assets->grid;
  options.total_blocks = context.assets->total_blocks;
  options.window = context.assets->window;
  options.lasting_admission = context.stage.text("admission") == "lasting";
  options.share_prefixes = context.cache.enable_prefix_caching;
  return options;
}

class SchedulerStage : public StageActor {
 public:
  SchedulerStage(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context), scheduler_(options_for(context)) {}

 private:
  caf::message_handler handlers() override {
    return {
        on<MatchedRequest>([this](MatchedRequest& message) { scheduler_.add(std::move(message.sequence)); }),
        on<BlockGrant>(
            [this](BlockGrant& grant) { scheduler_.on_grant(grant.blocks, grant.asked, std::move(grant.saves)); }),
        on<const GiveBack>([this](const GiveBack& message) { scheduler_.give_back(message.what); }),
        on<SaveBlocks>([this](SaveBlocks& message) { scheduler_.save(std::move(message.saves)); }),
        on<const StepDone>([this](const StepDone& done) {
          steps_.add(done.result);
          prefill_speed_.add(done.result);
          scheduler_.on_result(done.result);
        }),
    };
  }

  void on_cancel(CancelRequests& cancel) override {
    for (RequestId id : cancel.ids) scheduler_.cancel(id);
    after_message();
  }

  /// All that can be decided now.
  void after_message() override {
    const trace::Span span("plan");
    schedule::SchedulerOutput output = scheduler_.poll(now());
    if (schedule::CacheChanges& changes = output; !changes.empty()) {
      send(peers().prefix_matcher, CacheUpdate{epoch(), std::move(changes), prefill_speed_.tokens_per_second()});
    }
    if (output.demand > 0) send(peers().cache_evictor, BlockDemand{epoch(), output.demand});
    if (output.plan) send(successors().front(), RunStep{std::move(*output.plan)});
  }

  void on_reset() override { scheduler_.reset(epoch()); }

  Stats stats() override {
    Stats stats;
    const schedule::SchedulerCounters counters = scheduler_.counters();
    stats.running = counters.running;
    stats.queued = counters.waiting;
    stats.preemptions = counters.preemptions;
    stats.drafted = counters.drafted;
    stats.draft_accepted = counters.accepted;
    stats.steps = counters.steps;
    stats.prefix_query_tokens = counters.prefix.query_tokens;
    stats.prefix_query_blocks = counters.prefix.query_blocks;
    stats.prefix_hit_tokens = counters.prefix.hit_tokens;
    stats.prefix_hit_blocks = counters.prefix.hit_blocks;
    stats.prefix_copied_tokens = counters.prefix.copied_tokens;
    stats.prefix_missed_tokens = counters.prefix.missed_tokens;
    stats.ghost_hits = counters.prefix.ghost_hits;
    steps_.report(stats);
    return stats;
  }

  schedule::Scheduler scheduler_;
  StepHistogram steps_;
  schedule::PrefillSpeed prefill_speed_;
};

}  // namespace

caf::actor spawn_scheduler(caf::actor_system& system, const StageContext& context) {
  return system.spawn<SchedulerStage>(context);
}

}  // namespace headwater::actors
