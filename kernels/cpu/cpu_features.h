#pragma once
// What kernels are chosen by: what this machine's processor and system offer, or less, where HEADWATER_CPU names a
// lower kind.

#include "kernels/cpu/cpu_kind.h"

namespace headwater::kernels::cpu {

/// Found out at the first call, which limits Highway's choice of kernels, too.
const CpuChoice& cpu_choice();
inline const CpuFeatures& cpu_features() { return cpu_choice().features; }

}  // namespace headwater::kernels::cpu
