// AVX-VNNI: an instruction multiplies four pairs of bytes a lane and adds to sums of 32 bits. For processors that have
// it without AVX-512.

#include "kernels/cpu/grouped_product_256.h"

namespace headwater::kernels::cpu {
namespace {

template <PanelFormat kFormat>
class Dot {
 public:
  [[gnu::always_inline]] void add(const TwoQuads& quads, const std::int8_t* bytes) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      sum_ = settled(_mm256_dpbusd_avx_epi32(sum_, quads.codes[i], quad_256(bytes, quads.at[i])));
    }
  }
  [[gnu::always_inline]] __m256i times(const Factor& factor) const { return _mm256_mullo_epi32(sum_, factor.whole()); }
  [[gnu::always_inline]] __m256 value() const { return _mm256_cvtepi32_ps(sum_); }

 private:
  __m256i sum_ = _mm256_setzero_si256();
};

}  // namespace

void product_grouped_avxvnni(const ProductTask& task) { product_grouped_256<Dot>(task); }

}  // namespace headwater::kernels::cpu
