#pragma once
// Quantised values become bfloat16, for attention_quantized_amx.cc.

#include <immintrin.h>

#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/kv_parameters_avx512.h"

namespace headwater::kernels::cpu::attention_tiles {

/// 32 tokens' values in a quantised block, or 16 where a block has no more, from `slot` on.
struct ValueCodes {
  const std::byte* head;
  std::size_t head_dim, block_tokens, slot;
  CodeLayout layout;

  std::size_t n_tokens() const { return block_tokens < 32 ? block_tokens : 32; }
  const std::byte* first(std::size_t bits) const { return head + layout.values + slot * head_dim * bits / 8; }
  /// Of 8 bits: scales (0) or minima (1).
  const std::uint16_t* parameters(std::size_t which) const {
    return reinterpret_cast<const std::uint16_t*>(head + layout.value_parameters) + which * block_tokens + slot;
  }
  /// Of 4 bits, a group's scales.
  const std::byte* scales(std::size_t group) const {
    return head + layout.value_parameters + group * 2 * block_tokens + slot;
  }
  const std::byte* minima(std::size_t group) const { return scales(group) + block_tokens; }
};

/// The number that begins with bit 8 * kByte of each word: the code becomes the upper bits of the mantissa of
/// 256 + code, and scale * code + minimum = scale * (256 + code) + (minimum - 256 * scale).
template <int kByte>
inline __m512 number_of_8(__m512i codes, __m512 scale, __m512 rest) {
  constexpr int kLeft = 15 - 8 * kByte;
  const __m512i moved =
      kLeft >= 0 ? _mm512_slli_epi32(codes, kLeft >= 0 ? kLeft : 0) : _mm512_srli_epi32(codes, kLeft >= 0 ? 0 : -kLeft);
  constexpr int kAndOr = 0xEA;
  const __m512i bits =
      _mm512_ternarylogic_epi32(moved, _mm512_set1_epi32(0x007F8000), _mm512_set1_epi32(0x43800000), kAndOr);
  return _mm512_fmadd_ps(_mm512_castsi512_ps(bits), scale, rest);
}

/// bfloat16 of both, side by side.
inline __m512i pair(__m512 first, __m512 second) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i low = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(first), half), 16);
  const __m512i high = _mm512_add_epi32(_mm512_castps_si512(second), half);
  return _mm512_mask_blend_epi16(0xAAAAAAAA, low, high);
}

/// out: [pairs of tokens][head_dim][2]
inline void widen_values_of_8(const ValueCodes& values, std::uint16_t* out, Ahead& ahead) {
  const std::size_t n_tokens = values.n_tokens();
  alignas(64) float scales[32];
  alignas(64) float rests[32];
  for (std::size_t t = 0; t < n_tokens; t += 16) {
    const __m512 scale = widen(values.parameters(0) + t);
    _mm512_store_ps(scales + t, scale);
    _mm512_store_ps(rests + t, _mm512_fnmadd_ps(_mm512_set1_ps(256), scale, widen(values.parameters(1) + t)));
  }
  const std::size_t row = values.head_dim * 2;
  const std::byte* codes = values.first(8);
  for (std::size_t t = 0; t < n_tokens; t += 4, out += 2 * row) {
    const __m512 scale[4] = {_mm512_set1_ps(scales[t]), _mm512_set1_ps(scales[t + 1]), _mm512_set1_ps(scales[t + 2]),
                             _mm512_set1_ps(scales[t + 3])};
    const __m512 rest[4] = {_mm512_set1_ps(rests[t]), _mm512_set1_ps(rests[t + 1]), _mm512_set1_ps(rests[t + 2]),
                            _mm512_set1_ps(rests[t + 3])};
    for (std::size_t i = 0; i < row; i += 32, codes += 64) {
      ahead.line();
      _mm_prefetch(reinterpret_cast<const char*>(codes) + 8 * 64, _MM_HINT_T0);
      const __m512i words = _mm512_loadu_si512(codes);
      const __m512i first = pair(number_of_8<0>(words, scale[0], rest[0]), number_of_8<1>(words, scale[1], rest[1]));
      const __m512i second = pair(number_of_8<2>(words, scale[2], rest[2]), number_of_8<3>(words, scale[3], rest[3]));
      _mm512_store_si512(out + i, first);
      _mm512_store_si512(out + row + i, second);
    }
  }
}

/// All that codes of two tokens can stand for: 16 numbers of the first, then 16 of the second.
inline __m512i numbers_of_4(const float* scales, const float* minima) {
  const __m512 codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512 first = _mm512_fmadd_ps(codes, _mm512_set1_ps(scales[0]), _mm512_set1_ps(minima[0]));
  const __m512 second = _mm512_fmadd_ps(codes, _mm512_set1_ps(scales[1]), _mm512_set1_ps(minima[1]));
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

/// The pair of tokens whose codes are bytes of `order` of each word, lower halves.
inline __m512i look_up(__m512i codes, __m512i order, __m512i numbers) {
  constexpr int kAndOr = 0xEA;
  const __m512i bytes = _mm512_shuffle_epi8(codes, order);
  const __m512i index =
      _mm512_ternarylogic_epi32(bytes, _mm512_set1_epi32(0x000F000F), _mm512_set1_epi32(0x00100000), kAndOr);
  return _mm512_permutexvar_epi16(index, numbers);
}

/// head_dim: up to kMostWidenedDims. out: [16 pairs][head_dim][2]
inline constexpr std::size_t kMostWidenedDims = 256;
inline void widen_values_of_4(const ValueCodes& values, std::uint16_t* out, Ahead& ahead) {
  constexpr std::size_t kTokens = 32;
  alignas(64) float scales[kMostWidenedDims / kGroupDims][kTokens];
  alignas(64) float minima[kMostWidenedDims / kGroupDims][kTokens];
  for (std::size_t group = 0; group < group_count(values.head_dim); ++group) {
    for (std::size_t t = 0; t < kTokens; t += 16) {
      const __m512 scale = group_scales(values.scales(group) + t);
      _mm512_store_ps(scales[group] + t, scale);
      _mm512_store_ps(minima[group] + t, _mm512_mul_ps(group_minima(values.minima(group) + t), scale));
    }
  }
  const __m512i first = _mm512_set4_epi32(0x800D800C, 0x80098008, 0x80058004, 0x80018000);
  const __m512i second = _mm512_set4_epi32(0x800F800E, 0x800B800A, 0x80078006, 0x80038002);
  constexpr std::size_t kStep = kGroupDims * 2;  // numbers that a group makes of a pair of tokens
  const std::size_t row = values.head_dim * 2;
  const std::byte* codes = values.first(4);
  for (std::size_t t = 0; t < kTokens; t += 8, out += 4 * row) {
    for (std::size_t begin = 0; begin < row; begin += kStep) {
      const float* scale = scales[begin / kStep] + t;
      const float* minimum = minima[begin / kStep] + t;
      const __m512i numbers[4] = {numbers_of_4(scale, minimum), numbers_of_4(scale + 2, minimum + 2),
                                  numbers_of_4(scale + 4, minimum + 4), numbers_of_4(scale + 6, minimum + 6)};
      const std::size_t end = begin + kStep < row ? begin + kStep : row;
      for (std::size_t i = begin; i < end; i += 32, codes += 64) {
        ahead.line();
        const __m512i low = _mm512_loadu_si512(codes);
        const __m512i high = _mm512_srli_epi16(low, 4);
        _mm512_store_si512(out + i, look_up(low, first, numbers[0]));
        _mm512_store_si512(out + row + i, look_up(low, second, numbers[1]));
        _mm512_store_si512(out + 2 * row + i, look_up(high, first, numbers[2]));
        _mm512_store_si512(out + 3 * row + i, look_up(high, second, numbers[3]));
      }
    }
  }
}

}  // namespace headwater::kernels::cpu::attention_tiles
