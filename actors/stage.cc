#include "actors/stage.h"

#include <tuple>

#include "actors/failure.h"

namespace headwater::actors {

StageActor::StageActor(caf::actor_config& config, StageContext context)
    : caf::event_based_actor(config), context_(std::move(context)) {
  set_exception_handler(error_of);
}

caf::behavior StageActor::make_behavior() {
  caf::message_handler control{
      [this](Wire& wire) { wire_ = std::move(wire); },
      [this](const ResetStage& reset) { current(reset.epoch); },
      [this](const StatsQuery&) { return stats(); },
      [this](CancelRequests& cancel) {
        if (current(cancel.epoch)) on_cancel(cancel);
      },
  };
  return handlers().or_else(control);
}

void StageActor::on_cancel(CancelRequests& cancel) {
  if (wire_.to.size() == 1) {
    send(wire_.to.front(), std::move(cancel));
    return;
  }
  for (RequestId id : cancel.ids) send(successor(id), CancelRequests{cancel.epoch, {id}});
}

bool StageActor::current(std::uint64_t epoch) {
  if (epoch > epoch_) {
    epoch_ = epoch;
    on_reset();
  }
  return epoch == epoch_;
}

Result<void> StageRegistry::add(StageKind kind) {
  if (auto added = catalog_.add(kind.info); !added) return added;
  kinds_.push_back(std::move(kind));
  return {};
}

const StageKind* StageRegistry::find(std::string_view kind, std::string_view impl) const {
  for (const StageKind& known : kinds_) {
    if (known.info.kind == kind && known.info.impl == impl) return &known;
  }
  return nullptr;
}

StageRegistry builtin_stages() {
  const std::tuple<std::string_view, std::string_view, decltype(StageKind::spawn)> spawners[] = {
      {"tokenizer", "default", spawn_tokenizer},         {"prefix_matcher", "default", spawn_prefix_matcher},
      {"scheduler", "default", spawn_scheduler},         {"executor", "default", spawn_executor},
      {"cache_evictor", "default", spawn_cache_evictor}, {"detokenizer", "default", spawn_detokenizer},
      {"cache_tier", "disk", spawn_disk_tier},           {"cache_tier", "rocksdb", spawn_disk_tier},
  };
  StageRegistry registry;
  const topology::StageCatalog catalog = topology::builtin_catalog();
  for (const auto& [kind, impl, spawn] : spawners) {
    if (auto added = registry.add({*catalog.find(kind, impl), spawn}); !added) {
      throw std::logic_error(added.error().message);
    }
  }
  return registry;
}

}  // namespace headwater::actors
