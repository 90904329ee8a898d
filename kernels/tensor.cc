#include "kernels/tensor.h"

#include <bit>
#include <cstring>

#include "kernels/unaligned.h"
#include "kernels/weight_group.h"

namespace headwater::kernels {
namespace {

/// Names and block sizes in the order of DType. Source: ggml's block_q8_0 … block_iq4_xs.
struct Format {
  std::string_view name;
  std::uint32_t values, bytes;
};
constexpr Format kFormats[] = {{"F32", 1, 4},       {"F16", 1, 2},      {"BF16", 1, 2},     {"Q8_0", 32, 34},
                               {"Q4_0", 32, 18},    {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},
                               {"Q4_K", 256, 144},  {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18},
                               {"IQ4_XS", 256, 136}};

const Format& format(DType type) { return kFormats[static_cast<std::size_t>(type)]; }

}  // namespace

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000U} << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24F;
    return sign == 0 ? value : -value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23U) | (mantissa << 13U));
}

std::string_view name(DType type) { return format(type).name; }
std::uint32_t block_values(DType type) { return format(type).values; }
std::uint32_t block_bytes(DType type) { return format(type).bytes; }
std::size_t row_bytes(DType type, std::uint64_t cols) { return cols / format(type).values * format(type).bytes; }

void dequantize_row(const HostTensor& tensor, std::uint64_t row, std::span<float> out) {
  const std::byte* data = tensor.data + row * row_bytes(tensor.type, tensor.cols);
  switch (tensor.type) {
    case DType::f32:
      std::memcpy(out.data(), data, out.size_bytes());
      return;
    case DType::f16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = load_half(data + 2 * i);
      return;
    case DType::bf16:
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(data + 2 * i)} << 16U);
      }
      return;
    default:
      for (std::size_t i = 0; i < out.size(); i += kGroupValues) {
        expand_group(tensor.type, read_group(tensor.type, data, i / kGroupValues), out.subspan(i, kGroupValues));
      }
  }
}

}  // namespace headwater::kernels
