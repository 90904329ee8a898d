#include "tests/kernels/emulated_tiles-inl.h"
#include "tests/kernels/emulated_tiles.h"

// Last, for the macros:
#include "kernels/cpu/attention_amx.cc"  // NOLINT

namespace headwater::kernels::cpu {

bool emulates_tiles() {
  return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
         __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

}  // namespace headwater::kernels::cpu
