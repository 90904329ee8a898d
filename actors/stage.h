#pragma once
// The base of every stage actor, and the registry that a topology's kinds are looked up in.

#include <caf/all.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "actors/assets.h"
#include "actors/messages.h"
#include "headwater/result.h"
#include "topology/topology.h"

namespace headwater::actors {

/// What a stage knows when it is made. Its neighbours come later, in a Wire message.
struct StageContext {
  topology::Stage stage;
  std::uint32_t replica = 0;
  topology::CacheSpec cache;
  std::shared_ptr<const Assets> assets;
  std::string eviction_policy = "lru";  ///< the topology's, for advice on the cache's size
};

/// A stage: a plain class that decides, wrapped in an actor that translates messages.
///
/// The base handles the control plane (Wire, ResetStage, StatsQuery) and passes CancelRequests on along the path; a
/// stage that has something to do on either overrides the virtual. Threading: CAF runs one handler at a time. An
/// exception that leaves a handler ends the actor; the supervisor then fails the requests concerned and starts the
/// stage anew.
class StageActor : public caf::event_based_actor {
 public:
  StageActor(caf::actor_config& config, StageContext context);

  const char* name() const override { return context_.stage.id.c_str(); }

 protected:
  /// The stage's own handlers; each made by on().
  virtual caf::message_handler handlers() = 0;
  /// A handler of a Message, which is const where `handle` does not change it (one that is not is copied where it is
  /// shared). A message of an earlier epoch is dropped, one of a later resets us first; before_message() and
  /// after_message() stand around the rest.
  template <class Message, class Handle>
  auto on(Handle handle) {
    return [this, handle = std::move(handle)](Message& message) mutable {
      if constexpr (std::is_void_v<decltype(handle(message))>) {
        if constexpr (requires { epoch_of(message); }) {
          if (!current(epoch_of(message))) return;
        }
        before_message();
        handle(message);
        after_message();
      } else {
        before_message();
        auto answer = handle(message);
        after_message();
        return answer;
      }
    };
  }
  virtual void before_message() {}
  virtual void after_message() {}
  /// Forget everything; epoch() is the new one already.
  virtual void on_reset() {}
  /// What it counts; the rest stays 0.
  virtual Stats stats() { return {}; }
  /// Passes the message on to the stage of the path that has the requests.
  virtual void on_cancel(CancelRequests& cancel);

  caf::behavior make_behavior() override;
  /// Lets go of the neighbours: handles that point at each other would keep all of them alive.
  void on_exit() override { wire_ = {}; }

  const StageContext& context() const { return context_; }
  const Assets& assets() const { return *context_.assets; }
  std::uint64_t epoch() const { return epoch_; }
  TimeNs now() const { return assets().clock(); }

  /// Whether a message of `epoch` still counts. A newer epoch than ours resets us first: its messages may
  /// arrive before the supervisor's word does.
  bool current(std::uint64_t epoch);

  const std::vector<caf::actor>& successors() const { return wire_.to; }
  /// The successor for a request: replicas share the requests by id.
  const caf::actor& successor(RequestId id) const { return wire_.to.at(id % wire_.to.size()); }
  const Peers& peers() const { return wire_.peers; }
  const caf::actor& frontend() const { return wire_.frontend; }

 private:
  StageContext context_;
  Wire wire_;
  std::uint64_t epoch_ = 0;
};

/// A kind (and implementation) of stage: what the topology checker must know, and how to make one.
struct StageKind {
  topology::StageInfo info;
  std::function<caf::actor(caf::actor_system&, const StageContext&)> spawn;
};

/// The kinds that a runtime offers. Built-in ones are registered by builtin_stages(); a host program adds
/// its own before it starts a topology.
class StageRegistry {
 public:
  /// Error: kind and implementation are registered already.
  Result<void> add(StageKind kind);
  /// nullptr: unknown.
  const StageKind* find(std::string_view kind, std::string_view impl) const;
  const topology::StageCatalog& catalog() const { return catalog_; }

 private:
  topology::StageCatalog catalog_;
  std::vector<StageKind> kinds_;
};

StageRegistry builtin_stages();

// One function a stage file; builtin_stages() lists them.
caf::actor spawn_tokenizer(caf::actor_system& system, const StageContext& context);
caf::actor spawn_prefix_matcher(caf::actor_system& system, const StageContext& context);
caf::actor spawn_scheduler(caf::actor_system& system, const StageContext& context);
caf::actor spawn_executor(caf::actor_system& system, const StageContext& context);
caf::actor spawn_cache_evictor(caf::actor_system& system, const StageContext& context);
caf::actor spawn_detokenizer(caf::actor_system& system, const StageContext& context);
caf::actor spawn_disk_tier(caf::actor_system& system, const StageContext& context);

}  // namespace headwater::actors
