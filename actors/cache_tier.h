#pragma once
// A cache tier as a stage, for any store.

#include <chrono>
#include <functional>
#include <memory>

#include "actors/stage.h"
#include "cache/tier/block_store.h"

namespace headwater::actors {

using MakeStore = std::function<std::unique_ptr<cache::BlockStore>(const StageContext&)>;

/// Detached. A thread of the store's own waits for it; where a call of the store lasts as long as `hung_after`, the
/// tier is off until it returns. Ending the stage waits two seconds for it and leaves it behind then.
caf::actor spawn_cache_tier(caf::actor_system& system, const StageContext& context, const MakeStore& make_store,
                            std::chrono::milliseconds hung_after = std::chrono::seconds(10));

}  // namespace headwater::actors
