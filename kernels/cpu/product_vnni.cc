// AVX-512 VNNI: a panel's codes of one group in eight registers, met by several rows.

#include <immintrin.h>

#include "kernels/cpu/product.h"

namespace headwater::kernels::cpu {
namespace {

/// Rows that share an unpacked group: their sums and the group's codes fill most of the registers.
constexpr std::size_t kRows = 8;

template <PanelFormat kFormat>
struct Panel {
  const std::byte* codes;
  const std::uint16_t* scales;
  const std::uint16_t* minimums;

  Panel(const ProductTask& task, std::size_t panel) {
    const std::size_t groups = task.x->groups;
    codes = task.panels + panel * panel_bytes(kFormat, groups);
    scales = reinterpret_cast<const std::uint16_t*>(codes + groups * code_bytes(kFormat));
    minimums = scales + groups * kPanel;
  }
};

inline __m512 load_half(const std::uint16_t* x) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}

template <PanelFormat kFormat>
inline void unpack(const std::byte* codes, __m512i (&quads)[8]) {
  if constexpr (kFormat == PanelFormat::bytes_from_minus_128) {
    for (int i = 0; i < 8; ++i) quads[i] = _mm512_load_si512(codes + 64 * i);
  } else {
    const __m512i low = _mm512_set1_epi8(0x0F);
    for (int i = 0; i < 4; ++i) {
      const __m512i both = _mm512_load_si512(codes + 64 * i);
      quads[i] = _mm512_and_si512(both, low);
      quads[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
  }
}

template <PanelFormat kFormat>
inline __m512 minimum_of(const std::uint16_t* stored, __m512 scale) {
  if constexpr (kFormat == PanelFormat::nibbles) return load_half(stored);
  if constexpr (kFormat == PanelFormat::nibbles_from_minus_8) return _mm512_mul_ps(scale, _mm512_set1_ps(-8));
  return _mm512_mul_ps(scale, _mm512_set1_ps(-128));
}

inline __m512i quad(const std::int8_t* codes, int i) {
  int four;
  __builtin_memcpy(&four, codes + 4 * i, 4);
  return _mm512_set1_epi32(four);
}

/// Σ q·a of a group for 16 columns.
inline __m512i dot(const __m512i (&quads)[8], const std::int8_t* codes) {
  __m512i sum = _mm512_setzero_si512();
  for (int i = 0; i < 8; ++i) sum = _mm512_dpbusd_epi32(sum, quads[i], quad(codes, i));
  sum = _mm512_slli_epi32(sum, 4);
  for (int i = 0; i < 8; ++i) sum = _mm512_dpbusd_epi32(sum, quads[i], quad(codes, 8 + i));
  return sum;
}

template <PanelFormat kFormat, std::size_t N>
void rows(const ProductTask& task, std::size_t index, std::size_t row) {
  const QuantizedRows& x = *task.x;
  const Panel<kFormat> panel(task, index);
  // A group ahead of its use by as much as memory needs to answer.
  constexpr std::size_t kAhead = 2048;
  __m512 sums[N];
  for (std::size_t r = 0; r < N; ++r) sums[r] = _mm512_setzero_ps();
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::byte* codes = panel.codes + g * code_bytes(kFormat);
    for (std::size_t i = 0; i < code_bytes(kFormat); i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + i), _MM_HINT_T0);
    }
    __m512i quads[8];
    unpack<kFormat>(codes, quads);
    const __m512 scale = load_half(panel.scales + g * kPanel);
    const __m512 minimum = minimum_of<kFormat>(panel.minimums + g * kPanel, scale);
    const float* scales = x.scale(row, g);
    for (std::size_t r = 0; r < N; ++r) {
      const __m512 weighed = _mm512_mul_ps(_mm512_cvtepi32_ps(dot(quads, x.code(row + r, g))), scale);
      sums[r] = _mm512_fmadd_ps(weighed, _mm512_set1_ps(scales[r]), sums[r]);
      sums[r] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(scales[kTileRows + r]), sums[r]);
    }
  }
  const std::size_t column = index * kPanel;
  const std::size_t left = task.columns - column;
  const __mmask16 kept = left >= kPanel ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
  for (std::size_t r = 0; r < N; ++r) {
    _mm512_mask_storeu_ps(task.out + (row + r) * task.columns + column, kept, sums[r]);
  }
}

template <PanelFormat kFormat>
void product(const ProductTask& task) {
  for (std::size_t panel = task.first_panel; panel < task.end_panel; ++panel) {
    std::size_t row = 0;
    for (; row + kRows <= task.x->rows; row += kRows) rows<kFormat, kRows>(task, panel, row);
    switch (task.x->rows - row) {
      case 7:
        rows<kFormat, 7>(task, panel, row);
        break;
      case 6:
        rows<kFormat, 6>(task, panel, row);
        break;
      case 5:
        rows<kFormat, 5>(task, panel, row);
        break;
      case 4:
        rows<kFormat, 4>(task, panel, row);
        break;
      case 3:
        rows<kFormat, 3>(task, panel, row);
        break;
      case 2:
        rows<kFormat, 2>(task, panel, row);
        break;
      case 1:
        rows<kFormat, 1>(task, panel, row);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void product_vnni(const ProductTask& task) {
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
