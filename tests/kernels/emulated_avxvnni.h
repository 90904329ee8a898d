#pragma once
// The kernel for AVX-VNNI with AVX-512's form of its instruction, so that machines with AVX-512 VNNI test it, too.

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {

void product_grouped_emulated_avxvnni(const ProductTask& task);

}  // namespace headwater::kernels::cpu
