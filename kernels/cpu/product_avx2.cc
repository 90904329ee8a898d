// AVX2: codes and activations as pairs of 16-bit numbers, half a panel at a time.

#include <immintrin.h>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kRows = 4;
constexpr std::size_t kLanes = 8;

/// A row's codes of a group: for each quad of K its values 0 and 2 in one number, 1 and 3 in the other.
struct Pairs {
  alignas(32) std::int32_t even[8], odd[8];
};

inline void join(const std::int8_t* codes, Pairs& pairs) {
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + kGroup));
  // 16 · high: the byte moved to the upper half keeps its sign, and comes down by four bits less.
  const __m256i even_high = _mm256_slli_epi16(_mm256_srai_epi16(_mm256_slli_epi16(high, 8), 8), 4);
  const __m256i odd_high = _mm256_slli_epi16(_mm256_srai_epi16(high, 8), 4);
  const __m256i even_low = _mm256_and_si256(low, _mm256_set1_epi16(0xFF));
  const __m256i odd_low = _mm256_srli_epi16(low, 8);
  _mm256_store_si256(reinterpret_cast<__m256i*>(pairs.even), _mm256_add_epi16(even_high, even_low));
  _mm256_store_si256(reinterpret_cast<__m256i*>(pairs.odd), _mm256_add_epi16(odd_high, odd_low));
}

/// The bytes of quad `i` of eight columns, as values 0 and 2, and 1 and 3, in 16 bits each.
template <PanelFormat kFormat>
inline void weights(const std::byte* codes, int i, __m256i& even, __m256i& odd) {
  __m256i bytes;
  if constexpr (kFormat == PanelFormat::bytes_from_minus_128) {
    bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * i));
  } else {
    bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * (i % 4)));
    if (i >= 4) bytes = _mm256_srli_epi16(bytes, 4);
    bytes = _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F));
  }
  even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF));
  odd = _mm256_srli_epi16(bytes, 8);
}

inline __m256 load_half(const std::uint16_t* x) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

inline void store(float* out, __m256 sums, std::size_t n) {
  if (n >= kLanes) {
    _mm256_storeu_ps(out, sums);
    return;
  }
  alignas(32) float lanes[kLanes];
  _mm256_store_ps(lanes, sums);
  for (std::size_t i = 0; i < n; ++i) out[i] = lanes[i];
}

template <PanelFormat kFormat, std::size_t N>
void rows(const ProductTask& task, std::size_t index, std::size_t half, std::size_t row) {
  const QuantizedRows& x = *task.x;
  const std::size_t column = index * kPanel + half * kLanes;
  if (column >= task.columns) return;
  const std::byte* codes = task.panels + index * panel_bytes(kFormat, x.groups);
  const auto* scales = reinterpret_cast<const std::uint16_t*>(codes + x.groups * code_bytes(kFormat)) + half * kLanes;
  codes += half * 32;
  __m256 sums[N];
  for (std::size_t r = 0; r < N; ++r) sums[r] = _mm256_setzero_ps();
  for (std::size_t g = 0; g < x.groups; ++g, codes += code_bytes(kFormat)) {
    Pairs pairs[N];
    __m256i dots[N];
    for (std::size_t r = 0; r < N; ++r) {
      join(x.code(row + r, g), pairs[r]);
      dots[r] = _mm256_setzero_si256();
    }
    for (int i = 0; i < 8; ++i) {
      __m256i even;
      __m256i odd;
      weights<kFormat>(codes, i, even, odd);
      for (std::size_t r = 0; r < N; ++r) {
        dots[r] = _mm256_add_epi32(dots[r], _mm256_madd_epi16(even, _mm256_set1_epi32(pairs[r].even[i])));
        dots[r] = _mm256_add_epi32(dots[r], _mm256_madd_epi16(odd, _mm256_set1_epi32(pairs[r].odd[i])));
      }
    }
    const __m256 scale = load_half(scales + g * kPanel);
    __m256 minimum;
    if constexpr (kFormat == PanelFormat::nibbles) minimum = load_half(scales + (x.groups + g) * kPanel);
    if constexpr (kFormat == PanelFormat::nibbles_from_minus_8) minimum = _mm256_mul_ps(scale, _mm256_set1_ps(-8));
    if constexpr (kFormat == PanelFormat::bytes_from_minus_128) minimum = _mm256_mul_ps(scale, _mm256_set1_ps(-128));
    const float* of_x = x.scale(row, g);
    for (std::size_t r = 0; r < N; ++r) {
      const __m256 weighed = _mm256_mul_ps(_mm256_cvtepi32_ps(dots[r]), scale);
      sums[r] = _mm256_fmadd_ps(weighed, _mm256_set1_ps(of_x[r]), sums[r]);
      sums[r] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(of_x[kTileRows + r]), sums[r]);
    }
  }
  for (std::size_t r = 0; r < N; ++r) {
    store(task.out + (row + r) * task.columns + column, sums[r], task.columns - column);
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  for (std::size_t panel = task.first_panel; panel < task.end_panel; ++panel) {
    for (std::size_t half = 0; half < 2; ++half) {
      std::size_t row = 0;
      for (; row + kRows <= task.x->rows; row += kRows) rows<kFormat, kRows>(task, panel, half, row);
      for (; row < task.x->rows; ++row) rows<kFormat, 1>(task, panel, half, row);
    }
  }
}

}  // namespace

void product_avx2(const ProductTask& task) {
  switch (task.format) {
    case PanelFormat::nibbles:
      return product<PanelFormat::nibbles>(task);
    case PanelFormat::nibbles_from_minus_8:
      return product<PanelFormat::nibbles_from_minus_8>(task);
    case PanelFormat::bytes_from_minus_128:
      return product<PanelFormat::bytes_from_minus_128>(task);
  }
}

}  // namespace headwater::kernels::cpu
