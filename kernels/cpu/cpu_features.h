#pragma once
// What kernels are chosen by: what this machine's processor and system offer, or less, where HEADWATER_CPU names a
// lower kind.

#include <cstdint>

#include "kernels/cpu/cpu_kind.h"

namespace headwater::kernels::cpu {

/// Found out at the first call, which limits Highway's choice of kernels, too.
const CpuChoice& cpu_choice();
inline const CpuFeatures& cpu_features() { return cpu_choice().features; }

/// The instruction sets that Highway may choose, HWY_* of hwy/detect_targets.h: a lower bit is a better one. To be
/// asked instead of hwy::SupportedTargets(), which has Highway choose from all that the machine has, until its next
/// Update().
std::int64_t highway_target_bits();

}  // namespace headwater::kernels::cpu
