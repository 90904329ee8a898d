#pragma once
// The kernels of attention by AMX, with tiles that are emulated: so every machine with AVX-512 tests them.

#include "kernels/cpu/attention_kernel.h"

namespace headwater::kernels::cpu {

extern const AttentionKernel kEmulatedAttention;
extern const AttentionKernel kEmulatedQuantizedAttention;
/// Whether this machine has all that the kernels use beside tiles.
bool emulates_tiles();

}  // namespace headwater::kernels::cpu
