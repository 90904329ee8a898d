#pragma once
// Fills the prefix cache before the first client comes.

#include <span>
#include <string>

#include "headwater/runtime.h"
#include "topology/topology.h"

namespace headwater::actors {

/// Computes the prompts one after the other, as a client's requests, and logs how far it is. Their blocks are cached
/// then, for each of `tenants`; none: for the one without a name. Errors: the first prompt that is refused
/// or fails, by its name.
Result<void> warm_up(Runtime& runtime, std::span<const topology::WarmupPrompt> prompts,
                     std::span<const std::string> tenants);

}  // namespace headwater::actors
