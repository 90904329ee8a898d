#pragma once
// Whether a model's weights fit into memory, before any of them is read.

#include <vector>

#include "headwater/result.h"
#include "kernels/backend.h"
#include "kernels/memory_limits.h"
#include "model/gguf.h"

namespace headwater::model {

/// Error "unavailable": loaded for `backend` the weights take more than one of the limits leaves; what they take, what
/// there is and whose limit that is, and what would fit.
Result<void> check_weight_memory(const GgufFile& file, const kernels::Backend& backend,
                                 const std::vector<kernels::MemoryLimit>& limits = kernels::memory_limits());

}  // namespace headwater::model
