// Computes one step at a time (schedule::StepRunner). Detached: it has a thread of its own, and that
// thread leads the compute threads.

#include "actors/stage.h"
#include "schedule/step_runner.h"

namespace headwater::actors {
namespace {

class Executor : public StageActor {
 public:
  Executor(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context),
        runner_(*assets().architecture, end_tokens(*assets().tokenizer), assets().total_blocks, assets().grid.tokens,
                assets().clock, context.cache.format) {}

 private:
  caf::message_handler handlers() override {
    return {
        on<RunStep>([this](RunStep& step) {
          save(step.plan.saves);
          // One message, shared by all who get it.
          const caf::message done = caf::make_message(StepDone{runner_.run(std::move(step.plan))});
          for (const caf::actor& detokenizer : successors()) send(detokenizer, done);
          send(peers().scheduler, done);
          send(frontend(), done);  // the door goes by what steps take
        }),
    };
  }

  /// What the plan is about to write over, or what is idle and wanted elsewhere.
  void save(std::vector<schedule::BlockSave>& saves) {
    if (saves.empty() || !peers().cache_tier) return;
    send(peers().cache_tier, StoreBlocks{epoch(), runner_.save(std::move(saves))});
  }

  void on_reset() override { runner_.reset(); }

  schedule::StepRunner runner_;
};

}  // namespace

caf::actor spawn_executor(caf::actor_system& system, const StageContext& context) {
  return system.spawn<Executor, caf::detached>(context);
}

}  // namespace headwater::actors
