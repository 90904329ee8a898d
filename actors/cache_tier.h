#pragma once
// A cache tier as a stage, for any store.

#include <functional>
#include <memory>

#include "actors/stage.h"
#include "cache/tier/block_store.h"

namespace headwater::actors {

using MakeStore = std::function<std::unique_ptr<cache::BlockStore>(const StageContext&)>;

/// Detached: it has a thread of its own, which alone waits for the store.
caf::actor spawn_cache_tier(caf::actor_system& system, const StageContext& context, const MakeStore& make_store);

}  // namespace headwater::actors
