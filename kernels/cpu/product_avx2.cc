// AVX2: weights as numbers of 16 bits, four columns to a register of doubles.

#include <immintrin.h>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kRows = 4;
constexpr std::size_t kLanes = 8;

/// A row's activations of a group: for each quad of K its values 0 and 2 in one number, 1 and 3 in the other.
struct Pairs {
  alignas(32) std::int32_t even[8], odd[8];
};

inline void join(const std::int8_t* high_bytes, const std::int8_t* low_bytes, Pairs& pairs) {
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high_bytes));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low_bytes));
  const __m256i upper = _mm256_set1_epi16(static_cast<std::int16_t>(0xFF00));
  const __m256i even_low = _mm256_srai_epi16(_mm256_slli_epi16(low, 8), 8);
  const __m256i odd_low = _mm256_srai_epi16(low, 8);
  _mm256_store_si256(reinterpret_cast<__m256i*>(pairs.even), _mm256_add_epi16(_mm256_slli_epi16(high, 8), even_low));
  _mm256_store_si256(reinterpret_cast<__m256i*>(pairs.odd), _mm256_add_epi16(_mm256_and_si256(high, upper), odd_low));
}

/// The codes of quad `i` of eight columns: values 0 and 2, and 1 and 3, in 16 bits each.
template <PanelFormat kFormat>
inline void unpack(const std::byte* codes, int i, __m256i& even, __m256i& odd) {
  __m256i bytes;
  if constexpr (kFormat == PanelFormat::bytes_minus_128) {
    bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * i));
  } else {
    bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * (i % 4)));
    if (i >= 4) bytes = _mm256_srli_epi16(bytes, 4);
    bytes = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
  }
  even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF));
  odd = _mm256_srli_epi16(bytes, 8);
}

struct Doubles {
  __m256d first, last;
};
inline Doubles to_doubles(__m256i numbers) {
  return {_mm256_cvtepi32_pd(_mm256_castsi256_si128(numbers)),
          _mm256_cvtepi32_pd(_mm256_extracti128_si256(numbers, 1))};
}
inline Doubles load_doubles(const std::int16_t* numbers) {
  return to_doubles(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers))));
}

template <PanelFormat kFormat, std::size_t N>
void rows(const ProductTask& task, std::size_t index, std::size_t half, std::size_t row) {
  const QuantizedRows& x = *task.x;
  const std::size_t column = index * kPanel + half * kLanes;
  if (column >= task.columns) return;
  const PanelView panel = view_panel(kFormat, task.panels + index * panel_bytes(kFormat, x.groups), x.groups);
  Doubles sums[N];
  for (std::size_t r = 0; r < N; ++r) sums[r] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  for (std::size_t g = 0; g < x.groups; ++g) {
    Pairs pairs[N];
    __m256i dots[N];
    for (std::size_t r = 0; r < N; ++r) {
      const std::int8_t* high = x.at(row + r, g / 2) + g % 2 * kGroup;
      join(high, high + x.low, pairs[r]);
      dots[r] = _mm256_setzero_si256();
    }
    for (int i = 0; i < 8; ++i) {
      __m256i even;
      __m256i odd;
      unpack<kFormat>(panel.codes + g * code_bytes(kFormat) + half * 32, i, even, odd);
      for (std::size_t r = 0; r < N; ++r) {
        dots[r] = _mm256_add_epi32(dots[r], _mm256_madd_epi16(even, _mm256_set1_epi32(pairs[r].even[i])));
        dots[r] = _mm256_add_epi32(dots[r], _mm256_madd_epi16(odd, _mm256_set1_epi32(pairs[r].odd[i])));
      }
    }
    const std::size_t place = g * kPanel + half * kLanes;
    const Doubles factor = load_doubles(panel.factors + place);
    Doubles offset;
    if constexpr (kFormat == PanelFormat::nibbles) {
      offset = load_doubles(panel.offsets + place);
    } else {
      const __m256d middle = _mm256_set1_pd(kFormat == PanelFormat::nibbles_minus_8 ? -8 : -128);
      offset = {_mm256_mul_pd(factor.first, middle), _mm256_mul_pd(factor.last, middle)};
    }
    for (std::size_t r = 0; r < N; ++r) {
      const Doubles dot = to_doubles(dots[r]);
      const __m256d sum = _mm256_set1_pd(x.sums[(row + r) * x.groups + g]);
      sums[r].first = _mm256_fmadd_pd(offset.first, sum, _mm256_fmadd_pd(factor.first, dot.first, sums[r].first));
      sums[r].last = _mm256_fmadd_pd(offset.last, sum, _mm256_fmadd_pd(factor.last, dot.last, sums[r].last));
    }
  }
  for (std::size_t r = 0; r < N; ++r) {
    alignas(32) double lanes[kLanes];
    _mm256_store_pd(lanes, sums[r].first);
    _mm256_store_pd(lanes + 4, sums[r].last);
    for (std::size_t i = 0; i < kLanes && column + i < task.columns; ++i) {
      const auto sum = static_cast<std::int64_t>(lanes[i]);
      // As product_reference() rounds it.
      const float value = __builtin_fmaf(static_cast<float>(sum >> 16), 65536.0F, static_cast<float>(sum & 0xFFFF));
      task.out[(row + r) * task.columns + column + i] = value * panel.steps[half * kLanes + i] * x.scales[row + r];
    }
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  for (std::size_t panel = task.first_panel; panel < task.end_panel; ++panel) {
    for (std::size_t half = 0; half < 2; ++half) {
      std::size_t row = task.first_row;
      for (; row + kRows <= task.end_row; row += kRows) rows<kFormat, kRows>(task, panel, half, row);
      for (; row < task.end_row; ++row) rows<kFormat, 1>(task, panel, half, row);
    }
  }
}

}  // namespace

void product_avx2(const ProductTask& task) {
  with_format(task.format, [&](auto format) { product<format.value>(task); });
}

}  // namespace headwater::kernels::cpu
