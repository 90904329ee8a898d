#pragma once
// Actors that run when the test says so, on its thread, by a clock of its own (CAF's test coordinator).

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <memory>

namespace headwater::test {

class ManualSystem {
 public:
  ManualSystem() { system_ = std::make_unique<caf::actor_system>(config()); }

  caf::actor_system& operator*() { return *system_; }

  /// Handles messages until there are none; those of later times wait.
  void run() { coordinator().run(); }
  /// As run(), and all whose time comes until then.
  void let_pass(caf::timespan time) {
    coordinator().advance_time(time);
    run();
  }

 private:
  caf::actor_system_config& config() {
    config_.set("scheduler.policy", caf::atom("testing"));
    return config_;
  }
  caf::scheduler::test_coordinator& coordinator() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  }

  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
};

}  // namespace headwater::test
