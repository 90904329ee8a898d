#include "kernels/tensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace headwater::kernels {
namespace {

TEST(Tensor, KnowsItsFormats) {
  EXPECT_EQ(name(DType::q4_1), "Q4_1");
  EXPECT_EQ(block_values(DType::q8_0), 32U);
  EXPECT_EQ(block_bytes(DType::q8_0), 34U);
  EXPECT_EQ(block_bytes(DType::q4_0), 18U);
  EXPECT_EQ(block_bytes(DType::q4_1), 20U);
  EXPECT_EQ(block_values(DType::bf16), 1U);
}

/// Bytes of 16-bit floats: 1.0, -2.0, 0.5.
const std::string kOne("\x00\x3C", 2), kMinusTwo("\x00\xC0", 2), kHalf("\x00\x38", 2);

std::vector<float> expand(DType type, const std::string& bytes, std::uint64_t rows, std::uint64_t cols,
                          std::uint64_t row) {
  std::vector<float> out(cols);
  dequantize_row({reinterpret_cast<const std::byte*>(bytes.data()), type, rows, cols}, row, out);
  return out;
}

TEST(Tensor, ExpandsSixteenBitFloats) {
  EXPECT_EQ(expand(DType::f16, kOne + kMinusTwo + kHalf, 1, 3, 0), (std::vector<float>{1, -2, 0.5}));
  EXPECT_EQ(expand(DType::f16, std::string("\x01\x00", 2), 1, 1, 0), (std::vector<float>{0x1p-24F}));
  EXPECT_EQ(expand(DType::bf16, std::string("\x80\x3F\x00\xC0", 4), 2, 1, 1), (std::vector<float>{-2}));
}

TEST(Tensor, ExpandsQ8BlocksOfTheRowAskedFor) {
  std::string block = kHalf;
  for (int i = 0; i < 32; ++i) block += static_cast<char>(i - 16);
  const auto row = expand(DType::q8_0, std::string(34, '\x7F') + block, 2, 32, 1);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(row[static_cast<std::size_t>(i)], 0.5F * static_cast<float>(i - 16));
}

TEST(Tensor, ExpandsQ4BlocksLowHalvesFirst) {
  std::string nibbles;
  for (int i = 0; i < 16; ++i) nibbles += static_cast<char>(i | (15 - i) << 4);
  const auto q4_0 = expand(DType::q4_0, kOne + nibbles, 1, 32, 0);
  const auto q4_1 = expand(DType::q4_1, kHalf + kMinusTwo + nibbles, 1, 32, 0);
  for (int i = 0; i < 16; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(q4_0[at], static_cast<float>(i - 8));
    EXPECT_EQ(q4_0[at + 16], static_cast<float>(7 - i));
    EXPECT_EQ(q4_1[at], 0.5F * static_cast<float>(i) - 2);
    EXPECT_EQ(q4_1[at + 16], 0.5F * static_cast<float>(15 - i) - 2);
  }
}

}  // namespace
}  // namespace headwater::kernels
