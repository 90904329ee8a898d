#pragma once
// What kernels of attention in AVX-512 have in common.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention_kernel.h"

// Files for different instruction sets include this: what is inline here must be inlined.

namespace headwater::kernels::cpu {

[[gnu::always_inline]] inline std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }

/// The first `n` of 16 lanes, or all.
[[gnu::always_inline]] inline __mmask16 first_lanes(std::size_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xFFFFU : (1U << n) - 1U);
}

/// Asks for what the thread will read next, a line at each call; of several blocks in turn (see kSideBySide).
class Ahead {
 public:
  [[gnu::always_inline]] Ahead(const Split& split, std::size_t head_bytes)
      : block_(split.next_blocks), end_(block_ + split.n_next_blocks), turn_(block_), head_bytes_(head_bytes) {}
  [[gnu::always_inline]] void line() {
    if (block_ == end_) return;
    _mm_prefetch(reinterpret_cast<const char*>(*turn_) + at_, _MM_HINT_T1);
    ++turn_;
    if (turn_ != end_ && turn_ != block_ + kSideBySide) return;
    at_ += 64;
    if (at_ >= head_bytes_) {
      at_ = 0;
      block_ = turn_;
    }
    turn_ = block_;
  }
  [[gnu::always_inline]] void rest() {
    while (block_ != end_) line();
  }

 private:
  const std::uint16_t* const* block_;  ///< the first of those that take turns
  const std::uint16_t* const* end_;
  const std::uint16_t* const* turn_;
  std::size_t head_bytes_, at_ = 0;
};

/// What numbers up to `most` are multiplied by to become whole ones up to `greatest`; 0 where it would not be a number.
[[gnu::always_inline]] inline __m512 inverse_step(float most, float greatest) {
  constexpr float kNothing = 1e-30F;
  return _mm512_set1_ps(most > kNothing ? greatest / most : 0);
}
/// The nearest whole numbers; zero for a NaN: as the least number of 32 bits it would overflow a sum.
[[gnu::always_inline]] inline __m512i whole_numbers(__m512 x, __m512 inverse) {
  const __m512 scaled = _mm512_mul_ps(x, inverse);
  return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(scaled, scaled, _CMP_ORD_Q), scaled);
}

/// How a query becomes whole numbers.
struct QueryStep {
  float step;  ///< NaN where the query is not finite
  __m512 inverse;
};
/// head_dim: a multiple of 16. greatest: of the whole numbers.
[[gnu::always_inline]] inline QueryStep query_step(const float* query, std::size_t head_dim, float greatest) {
  __m512 magnitude = _mm512_setzero_ps();
  __m512 trap = _mm512_setzero_ps();
  for (std::size_t i = 0; i < head_dim; i += 16) {
    const __m512 x = _mm512_loadu_ps(query + i);
    magnitude = _mm512_max_ps(_mm512_abs_ps(x), magnitude);
    trap = _mm512_fmadd_ps(x, _mm512_setzero_ps(), trap);
  }
  const float most = _mm512_reduce_max_ps(magnitude);
  return {most / greatest + _mm512_reduce_add_ps(trap), inverse_step(most, greatest)};
}

}  // namespace headwater::kernels::cpu
