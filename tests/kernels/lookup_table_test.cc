#include "kernels/cpu/lookup_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

namespace headwater::kernels::cpu {
namespace {

/// Any bytes as a table: scales of either sign, infinities and NaNs among them.
std::vector<std::byte> random_bytes(std::size_t n) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

class LookupTables : public testing::TestWithParam<DType> {};

TEST_P(LookupTables, GiveTheBitsOfTheFileWithMemoryOfTheirOwnAndWithThatOfThePackedMatrix) {
  for (const std::size_t rows : {1U, 15U, 16U, 33U}) {
    for (const std::size_t blocks : {1U, 3U, 18U}) {
      const std::size_t cols = blocks * std::max(block_values(GetParam()), 32U);
      std::vector<std::byte> bytes = random_bytes(rows * cols / block_values(GetParam()) * block_bytes(GetParam()));
      const HostTensor table{bytes.data(), GetParam(), rows, cols};
      std::vector<std::vector<std::uint32_t>> expected;
      std::vector<float> row(cols);
      for (std::size_t r = 0; r < rows; ++r) {
        dequantize_row(table, r, row);
        expected.push_back(bits(row));
      }
      ThreadPool pool(2);
      WeightMemory memory;
      const LookupTable copied(table);
      std::vector<const LookupTable*> tables = {&copied};
      std::optional<LookupTable> shared;
      if (QuantizedMatrix::takes({&table, 1})) {
        const QuantizedMatrix packed({&table, 1}, QuantizedMatrix::Use::linear, memory, pool);
        tables.push_back(&shared.emplace(table, packed));  // which outlives `packed`
        EXPECT_LT(LookupTable::bytes_of(table, true), LookupTable::bytes_of(table, false) / 4);
      }
      std::memset(bytes.data(), 0, bytes.size());  // nothing of it is read any more
      for (const LookupTable* each : tables) {
        EXPECT_EQ(each->rows(), rows);
        for (std::size_t r = 0; r < rows; ++r) {
          each->read(r, row);
          ASSERT_EQ(bits(row), expected[r]) << rows << " x " << cols << ", row " << r;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, LookupTables,
                         testing::Values(DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1,
                                         DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl,
                                         DType::iq4_xs),
                         [](const auto& info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace headwater::kernels::cpu
