#pragma once
// What kernels of attention over a quantised cache have in common: scales and minima of 16 tokens as floats, and asking
// memory for what comes next.

#include <immintrin.h>

#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/kv_code_scale.h"

// Files for different instruction sets include this: what is inline here must be inlined.

namespace headwater::kernels::cpu {

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

/// As group_scale() and group_minimum(), of 16 tokens.
[[gnu::always_inline]] inline __m512i widen_bytes(const std::byte* bytes) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}
[[gnu::always_inline]] inline __m512 group_scales(const std::byte* bytes) {
  const __m512i wide = widen_bytes(bytes);
  const __m512i bits = _mm512_add_epi32(_mm512_slli_epi32(wide, kScaleShift), _mm512_set1_epi32(kLeastScaleBits));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(wide, _mm512_set1_epi32(kNanScale));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7FC00000)));
}
[[gnu::always_inline]] inline __m512 group_minima(const std::byte* bytes) {
  return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(widen_bytes(bytes)), _mm512_set1_ps(kMinimumStep),
                          _mm512_set1_ps(kHighestMinimum));
}

/// 16 of bfloat16.
[[gnu::always_inline]] inline __m512 widen(const std::uint16_t* numbers) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

}  // namespace headwater::kernels::cpu
