// Layouts: ggml's block_q4_0 … block_iq4_xs (ggml/src/ggml-common.h, ggml-quants.c).

#include "kernels/weight_group.h"

#include "kernels/unaligned.h"

namespace headwater::kernels {
namespace {

constexpr std::size_t kHalf = kGroupValues / 2;
constexpr std::size_t kScaleBytes = 12;

unsigned number(std::byte byte) { return std::to_integer<unsigned>(byte); }

/// 16 bytes of two 4-bit codes: the low halves are codes 0 … 15, the high ones 16 … 31.
void put_nibbles(const std::byte* packed, WeightGroup& group) {
  for (std::size_t i = 0; i < kHalf; ++i) {
    group.codes[i] = static_cast<std::uint8_t>(number(packed[i]) & 15U);
    group.codes[i + kHalf] = static_cast<std::uint8_t>(number(packed[i]) >> 4U);
  }
}

/// The values that the codes of IQ4_NL and IQ4_XS stand for.
constexpr std::array<std::int8_t, 16> kNonlinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                    1,    13,   25,  38,  53,  69,  89,  113};
void put_nonlinear(const std::byte* packed, WeightGroup& group) {
  put_nibbles(packed, group);
  for (std::uint8_t& code : group.codes) code = static_cast<std::uint8_t>(kNonlinear[code] + 128);
}

/// The fifth bits of codes 0 … 31.
void put_fifth_bits(std::uint32_t bits, WeightGroup& group) {
  for (std::size_t i = 0; i < kGroupValues; ++i) group.codes[i] |= static_cast<std::uint8_t>((bits >> i & 1U) << 4U);
}

/// One for all 32 values.
GroupScale same(float scale, float minimum) { return {{scale, scale}, {minimum, minimum}}; }

/// Scale and minimum of Q4_K and Q5_K: 6 bits each, of eight groups in 12 bytes.
GroupScale k_scale(const std::byte* block, std::size_t i) {
  const std::byte* const packed = block + 4;
  unsigned scale = 0, minimum = 0;
  if (i < 4) {
    scale = number(packed[i]) & 63U;
    minimum = number(packed[i + 4]) & 63U;
  } else {
    scale = (number(packed[i + 4]) & 15U) | (number(packed[i - 4]) >> 6U) << 4U;
    minimum = number(packed[i + 4]) >> 4U | (number(packed[i]) >> 6U) << 4U;
  }
  return same(load_half(block) * static_cast<float>(scale), -(load_half(block + 2) * static_cast<float>(minimum)));
}

/// The 4-bit codes of Q4_K and Q5_K: 32 bytes hold those of two groups, the first in their low halves.
void put_k_nibbles(const std::byte* codes, std::size_t i, WeightGroup& group) {
  for (std::size_t k = 0; k < kGroupValues; ++k) {
    group.codes[k] = static_cast<std::uint8_t>(number(codes[i / 2 * kGroupValues + k]) >> 4 * (i % 2) & 15U);
  }
}

/// Of Q6_K, 128 values: 64 bytes of low halves, 32 bytes of which each has the upper two bits of four values, 32 apart.
void put_q6(const std::byte* block, std::size_t i, WeightGroup& group) {
  const std::byte* const low = block + i / 4 * 64 + i % 2 * kGroupValues;
  const std::byte* const high = block + 128 + i / 4 * kGroupValues;
  for (std::size_t k = 0; k < kGroupValues; ++k) {
    const unsigned nibble = number(low[k]) >> (i % 4 < 2 ? 0 : 4) & 15U;
    group.codes[k] = static_cast<std::uint8_t>(nibble | (number(high[k]) >> 2 * (i % 4) & 3U) << 4U);
  }
}
GroupScale q6_scale(const std::byte* block, std::size_t i) {
  const float scale = load_half(block + 208);
  const auto half = [&](std::size_t h) {
    return scale * static_cast<float>(load<std::int8_t>(block + 192 + 2 * i + h));
  };
  return {{half(0), half(1)}, {0, 0}};
}

GroupScale iq4_xs_scale(const std::byte* block, std::size_t i) {
  const unsigned low = number(block[4 + i / 2]) >> 4 * (i % 2) & 15U;
  const unsigned high = load<std::uint16_t>(block + 2) >> 2 * i & 3U;
  const int scale = static_cast<int>(low | high << 4U) - 32;
  return same(load_half(block) * static_cast<float>(scale), 0);
}

/// The block that a group is in, and which of its groups it is.
struct Place {
  const std::byte* block;
  std::size_t i;
};
Place find(DType type, const std::byte* row, std::size_t group) {
  const std::size_t in_block = block_values(type) / kGroupValues;
  return {row + group / in_block * block_bytes(type), group % in_block};
}

}  // namespace

GroupFormat group_format(DType type) {
  switch (type) {
    case DType::q4_0:
      return {8, 0, 15, false, true};
    case DType::q4_1:
    case DType::q4_k:
      return {0, 0, 15, true, true};
    case DType::q5_0:
      return {16, 0, 31, false, true};
    case DType::q5_1:
    case DType::q5_k:
      return {0, 0, 31, true, true};
    case DType::q6_k:
      return {32, 0, 63, false, false};
    case DType::iq4_nl:
    case DType::iq4_xs:
      return {128, 1, 241, false, true};
    case DType::q8_0:
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      break;
  }
  return {128, 0, 255, false, true};
}

GroupScale read_scale(DType type, const std::byte* row, std::size_t group) {
  const Place at = find(type, row, group);
  switch (type) {
    case DType::q4_1:
    case DType::q5_1:
      return same(load_half(at.block), load_half(at.block + 2));
    case DType::q4_k:
    case DType::q5_k:
      return k_scale(at.block, at.i);
    case DType::q6_k:
      return q6_scale(at.block, at.i);
    case DType::iq4_xs:
      return iq4_xs_scale(at.block, at.i);
    case DType::q4_0:
    case DType::q5_0:
    case DType::q8_0:
    case DType::iq4_nl:
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      break;
  }
  return same(load_half(at.block), 0);
}

WeightGroup read_group(DType type, const std::byte* row, std::size_t group) {
  const auto [block, i] = find(type, row, group);
  WeightGroup read{read_scale(type, row, group), {}};
  switch (type) {
    case DType::q4_0:
      put_nibbles(block + 2, read);
      break;
    case DType::q4_1:
      put_nibbles(block + 4, read);
      break;
    case DType::q5_0:
      put_nibbles(block + 6, read);
      put_fifth_bits(load<std::uint32_t>(block + 2), read);
      break;
    case DType::q5_1:
      put_nibbles(block + 8, read);
      put_fifth_bits(load<std::uint32_t>(block + 4), read);
      break;
    case DType::q4_k:
      put_k_nibbles(block + 4 + kScaleBytes, i, read);
      break;
    case DType::q5_k:
      put_k_nibbles(block + 4 + kScaleBytes + kGroupValues, i, read);
      for (std::size_t k = 0; k < kGroupValues; ++k) {
        read.codes[k] |= static_cast<std::uint8_t>((number(block[4 + kScaleBytes + k]) >> i & 1U) << 4U);
      }
      break;
    case DType::q6_k:
      put_q6(block, i, read);
      break;
    case DType::iq4_nl:
      put_nonlinear(block + 2, read);
      break;
    case DType::iq4_xs:
      put_nonlinear(block + 8 + i * kHalf, read);
      break;
    case DType::q8_0:
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      for (std::size_t k = 0; k < kGroupValues; ++k) {
        read.codes[k] = static_cast<std::uint8_t>(number(block[2 + k]) ^ 0x80U);
      }
  }
  return read;
}

ScaleBytes scale_bytes(DType type) {
  switch (type) {
    case DType::q4_1:
    case DType::q5_1:
      return {0, 4};
    case DType::q4_k:
    case DType::q5_k:
      return {0, 4 + kScaleBytes};
    case DType::q6_k:
      return {192, 18};
    case DType::iq4_xs:
      return {0, 8};
    case DType::q4_0:
    case DType::q5_0:
    case DType::q8_0:
    case DType::iq4_nl:
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      break;
  }
  return {0, 2};
}

void expand_group(DType type, const WeightGroup& group, std::span<float> out) {
  const int zero = group_format(type).zero;
  for (std::size_t i = 0; i < kGroupValues; ++i) {
    const float code = static_cast<float>(static_cast<int>(group.codes[i]) - zero);
    out[i] = group.scale[i / kHalf] * code + group.minimum[i / kHalf];
  }
}

}  // namespace headwater::kernels
