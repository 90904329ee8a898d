#pragma once
// What this machine's processor and system offer, beyond plain x86-64.

namespace headwater::kernels::cpu {

struct CpuFeatures {
  bool avx2 = false;         ///< AVX2, FMA and F16C
  bool avx512 = false;       ///< AVX-512 F, BW, DQ and VL
  bool avx512_vnni = false;  ///< and VNNI
  bool avx512_bf16 = false;  ///< and BF16
  bool amx = false;          ///< AMX tiles, INT8 and BF16; the system lets this process use them
};

/// Found out at the first call.
const CpuFeatures& cpu_features();

}  // namespace headwater::kernels::cpu
