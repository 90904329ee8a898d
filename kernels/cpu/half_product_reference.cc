// What every kernel of half_product.h must give, bit for bit.

#include <cmath>

#include "kernels/cpu/half_product.h"
#include "kernels/tensor.h"

namespace headwater::kernels::cpu {

void half_product_reference(const HalfTask& task) {
  for (std::size_t r = 0; r < task.rows; ++r) {
    for (std::size_t c = 0; c < task.columns; ++c) {
      float sum = 0;
      for (std::size_t k = 0; k < task.k; ++k) {
        sum = std::fma(half_to_float(task.panel[k * kHalfPanel + c]), task.x[r * task.k + k], sum);
      }
      task.out[r * task.out_stride + c] = sum * task.scales[c];
    }
  }
}

}  // namespace headwater::kernels::cpu
