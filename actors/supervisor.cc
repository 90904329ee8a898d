#include "actors/supervisor.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>

#include "actors/failure.h"
#include "actors/frontend.h"

namespace headwater::actors {
namespace {

std::string eviction_policy(const topology::Topology& topology) {
  for (const topology::Stage& stage : topology.stages) {
    if (stage.kind == "cache_evictor" && stage.args.contains("policy")) return stage.text("policy");
  }
  return "lru";
}

/// More restarts than this within the window: the fault is not in a request, and starting anew does not help.
constexpr std::size_t kMaxRestarts = 20;
constexpr TimeNs kRestartWindow = 10'000'000'000;

class Supervisor : public caf::event_based_actor {
 public:
  Supervisor(caf::actor_config& config, topology::Topology topology, StageRegistry registry,
             std::shared_ptr<const Assets> assets, std::shared_ptr<Admission> admission, caf::actor frontend)
      : caf::event_based_actor(config),
        topology_(std::move(topology)),
        registry_(std::move(registry)),
        assets_(std::move(assets)),
        admission_(std::move(admission)),
        frontend_(std::move(frontend)) {
    set_exception_handler(error_of);
    set_down_handler([this](const caf::down_msg& down) { on_down(down); });
    monitor(frontend_);
  }

  const char* name() const override { return "supervisor"; }

 private:
  caf::behavior make_behavior() override {
    return {
        [this](const StartStages&) -> caf::result<StageList> {
          try {
            start_all();
          } catch (const std::bad_alloc&) {
            return caf::make_error(caf::sec::runtime_error, std::string("there is not enough memory"));
          } catch (const std::exception& error) {
            return caf::make_error(caf::sec::runtime_error, std::string(error.what()));
          }
          return StageList{stages_};
        },
        [this](const ListStages&) { return StageList{stages_}; },
        [this](const StopStages&) { stop_all(); },
    };
  }

  /// Stages that nobody would make anew do not go on.
  void on_exit() override {
    for (const StageHandle& stage : stages_) send_exit(stage.actor, caf::exit_reason::kill);
    stages_.clear();
    frontend_ = nullptr;
  }

  void start_all() {
    for (const topology::Stage& stage : topology_.stages) {
      for (std::uint32_t replica = 0; replica < stage.replicas; ++replica) {
        stages_.push_back({stage.id, stage.kind, replica, spawn_stage(stage, replica)});
      }
    }
    wire_all();
    begin_epoch();
  }

  const StageKind& kind_of(const topology::Stage& stage) const {
    const StageKind* kind = registry_.find(stage.kind, stage.impl);
    if (kind == nullptr) throw std::logic_error("no stage kind " + stage.kind + "/" + stage.impl);
    return *kind;
  }

  caf::actor spawn_stage(const topology::Stage& stage, std::uint32_t replica) {
    caf::actor actor = kind_of(stage).spawn(
        system(), StageContext{stage, replica, topology_.cache, assets_, eviction_policy(topology_)});
    monitor(actor);
    return actor;
  }

  std::vector<caf::actor> replicas_of(const std::vector<std::string>& ids) const {
    std::vector<caf::actor> found;
    for (const std::string& id : ids) {
      if (id == "gateway") found.push_back(frontend_);
      for (const StageHandle& stage : stages_) {
        if (stage.id == id) found.push_back(stage.actor);
      }
    }
    return found;
  }

  void wire(const StageHandle& stage) {
    send(stage.actor, Wire{replicas_of(topology_.find(stage.id)->to), peers(), frontend_});
  }

  void wire_all() {
    for (const StageHandle& stage : stages_) wire(stage);
    send(frontend_, Wire{replicas_of(topology_.gateway.to), peers(), frontend_});
  }

  Peers peers() const {
    return {stage_of("prefix_matcher"), stage_of("scheduler"), stage_of("cache_evictor"), stage_of("cache_tier")};
  }

  /// Null: there is none.
  caf::actor stage_of(std::string_view kind) const {
    const auto found = std::ranges::find(stages_, kind, &StageHandle::kind);
    return found == stages_.end() ? nullptr : found->actor;
  }

  void begin_epoch() {
    ++epoch_;
    for (const StageHandle& stage : stages_) send(stage.actor, ResetStage{epoch_});
  }

  void on_down(const caf::down_msg& down) {
    if (stopping_) return;
    if (down.source == frontend_.address()) end_process("the frontend failed: " + to_string(down.reason));
    const auto lost = std::find_if(stages_.begin(), stages_.end(),
                                   [&](const StageHandle& stage) { return stage.actor.address() == down.source; });
    if (lost == stages_.end()) return;
    const topology::Stage& stage = *topology_.find(lost->id);
    const std::string reason = to_string(down.reason);
    spdlog::error("stage \"{}\" ({}, replica {}) failed: {}; starting it anew", lost->id, lost->kind, lost->replica,
                  reason);
    admission_->count_restart();
    const topology::Loss loss = kind_of(stage).info.loss;
    // Memory comes back, and a stage fails of its lack only where a request asks for it: that never ends the service.
    const bool no_memory = lacked_memory(down.reason);
    if (!no_memory && !may_restart()) {
      if (loss != topology::Loss::nothing) give_up(stage);
      return;
    }
    try {
      lost->actor = spawn_stage(stage, lost->replica);
    } catch (const std::exception& error) {
      spdlog::error("stage \"{}\" cannot be made anew: {}", stage.id, error.what());
      give_up(stage);
      return;
    }

    // Everything sent to the dead stage is lost. Messages are queued in this order everywhere: the new stage's own
    // wiring and epoch, before anybody can send to it; the new wiring of the others; the new epoch; then the frontend's
    // word on which requests have failed. So no request falls between.
    const bool new_epoch = loss == topology::Loss::cache_state;
    wire(*lost);
    send(lost->actor, ResetStage{new_epoch ? epoch_ + 1 : epoch_});
    wire_all();
    if (new_epoch) begin_epoch();
    if (loss == topology::Loss::nothing) return;
    send(frontend_, StageLost{stage.id, stage.kind, loss, lost->replica, stage.replicas, epoch_, no_memory});
  }

  bool may_restart() {
    const TimeNs now = assets_->clock();
    restarts_.push_back(now);
    while (restarts_.front() < now - kRestartWindow) restarts_.pop_front();
    return restarts_.size() <= kMaxRestarts;
  }

  void give_up(const topology::Stage& stage) {
    spdlog::critical("stage \"{}\" keeps failing; nothing more is accepted, restart the server", stage.id);
    admission_->break_down("stage \"" + stage.id + "\" keeps failing; the server must be restarted");
    send(frontend_, StageLost{stage.id, stage.kind, topology::Loss::cache_state, 0, 1, ++epoch_});
  }

  void stop_all() {
    stopping_ = true;
    for (const StageHandle& stage : stages_) send_exit(stage.actor, caf::exit_reason::user_shutdown);
    stages_.clear();
    send_exit(frontend_, caf::exit_reason::user_shutdown);
    quit();
  }

  topology::Topology topology_;
  StageRegistry registry_;
  std::shared_ptr<const Assets> assets_;
  std::shared_ptr<Admission> admission_;
  caf::actor frontend_;
  std::vector<StageHandle> stages_;
  std::deque<TimeNs> restarts_;
  std::uint64_t epoch_ = 0;
  bool stopping_ = false;
};

}  // namespace

caf::actor spawn_supervisor(caf::actor_system& system, const topology::Topology& topology,
                            const StageRegistry& registry, std::shared_ptr<const Assets> assets,
                            std::shared_ptr<Admission> admission, caf::actor frontend) {
  caf::actor supervisor =
      system.spawn<Supervisor>(topology, registry, std::move(assets), std::move(admission), frontend);
  caf::anon_send(frontend, WatchSupervisor{supervisor.address()});
  return supervisor;
}

}  // namespace headwater::actors
