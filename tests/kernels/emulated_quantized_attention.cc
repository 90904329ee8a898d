#include "tests/kernels/emulated_tiles-inl.h"

// Last, for the macros:
#include "kernels/cpu/attention_quantized_amx.cc"  // NOLINT
