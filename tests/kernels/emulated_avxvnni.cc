#include "tests/kernels/emulated_avxvnni.h"

#include <immintrin.h>

#define product_grouped_avxvnni product_grouped_emulated_avxvnni
#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32  // NOLINT(bugprone-reserved-identifier)
// Last, for the macros:
#include "kernels/cpu/grouped_product_avxvnni.cc"  // NOLINT
