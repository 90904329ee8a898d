#pragma once
// Has a model's maps found once per file: those beside the file are taken, and what was learnt is kept there.

#include <cstdint>
#include <functional>

#include "model/architecture.h"
#include "model/gguf.h"
#include "model/kv_learner.h"
#include "model/kv_maps.h"

namespace headwater::model {

/// Smaller files are learnt from in no time, every time.
inline constexpr std::uint64_t kLeastBytesKept = std::uint64_t{32} << 20U;

/// Reads the whole model file where it has no digest yet. A file of maps that cannot be used is made anew, one that
/// cannot be written costs a warning. learn: makes the maps. Throws what that does.
LearntKvMaps find_kv_maps(const GgufFile& file, const KvLearning& learning, const std::function<LearntKvMaps()>& learn,
                          const Tell& tell, std::uint64_t least_bytes_kept = kLeastBytesKept);

}  // namespace headwater::model
