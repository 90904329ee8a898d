#pragma once
// Makes the stages of a topology, wires them, and makes a stage anew that has died.
//
// What a death costs, the stage's kind says (topology::Loss). Where that is a part of the cache's state, a new epoch
// begins: all requests under way fail, and every stage starts from an empty cache.
//
// Who watches whom: the supervisor the stages and the frontend, the frontend the supervisor. Without its supervisor a
// frontend fails all requests and takes no more; without its frontend nobody can tell clients anything, so the process
// ends with a line that says so.

#include <caf/all.hpp>
#include <memory>
#include <string>
#include <vector>

#include "actors/admission.h"
#include "actors/stage.h"

namespace headwater::actors {

struct StageHandle {
  std::string id, kind;
  std::uint32_t replica = 0;
  caf::actor actor;
};

/// → supervisor: makes and wires all stages; answered by StageList, or a caf::error if a stage cannot be made.
struct StartStages {};
/// → supervisor: answered by StageList.
struct ListStages {};
/// → supervisor: ends all stages, then itself.
struct StopStages {};

struct StageList {
  std::vector<StageHandle> stages;
};

/// The two watch each other from then on.
caf::actor spawn_supervisor(caf::actor_system& system, const topology::Topology& topology,
                            const StageRegistry& registry, std::shared_ptr<const Assets> assets,
                            std::shared_ptr<Admission> admission, caf::actor frontend);

}  // namespace headwater::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::StartStages)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::ListStages)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::StopStages)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::StageList)
