#include "kernels/weight_group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace headwater::kernels {
namespace {

/// A block of a model file, and what another implementation makes of it.
struct Block {
  DType type;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

std::uint32_t from_hex(const std::string& text, std::size_t at, std::size_t digits) {
  return static_cast<std::uint32_t>(std::stoul(text.substr(at, digits), nullptr, 16));
}

std::vector<Block> blocks() {
  std::map<std::string, DType> types;
  for (const DType type : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k,
                           DType::q6_k, DType::iq4_nl, DType::iq4_xs}) {
    types.emplace(name(type), type);
  }
  std::ifstream file("tests/kernels/data/weight_blocks.txt");
  std::vector<Block> all;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string type, bytes, values;
    words >> type >> bytes >> values;
    Block block{types.at(type), {}, {}};
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
      block.bytes.push_back(static_cast<std::byte>(from_hex(bytes, i, 2)));
    }
    for (std::size_t i = 0; i < values.size(); i += 8) {
      block.values.push_back(std::bit_cast<float>(from_hex(values, i, 8)));
    }
    all.push_back(std::move(block));
  }
  return all;
}

TEST(WeightGroup, HasTheValuesThatTheGgufPackageGives) {
  const std::vector<Block> all = blocks();
  ASSERT_EQ(all.size(), 16U);
  for (const Block& block : all) {
    SCOPED_TRACE(name(block.type));
    ASSERT_EQ(block.bytes.size(), block_bytes(block.type));
    ASSERT_EQ(block.values.size(), block_values(block.type));
    std::vector<float> got(block.values.size());
    dequantize_row({block.bytes.data(), block.type, 1, got.size()}, 0, got);
    EXPECT_EQ(got, block.values);
  }
}

TEST(WeightGroup, KeepsToItsFormat) {
  for (const Block& block : blocks()) {
    SCOPED_TRACE(name(block.type));
    const GroupFormat format = group_format(block.type);
    for (std::size_t g = 0; g < block.values.size() / kGroupValues; ++g) {
      const WeightGroup group = read_group(block.type, block.bytes.data(), g);
      if (format.one_scale) {
        EXPECT_EQ(group.scale[0], group.scale[1]);
      }
      if (!format.has_minimum) {
        EXPECT_EQ(group.minimum, (std::array<float, 2>{0, 0}));
      }
      for (const std::uint8_t code : group.codes) {
        EXPECT_GE(code, format.least);
        EXPECT_LE(code, format.most);
      }
    }
  }
}

TEST(WeightGroup, ReadsScalesFromTheirBytesAlone) {
  for (const Block& block : blocks()) {
    SCOPED_TRACE(name(block.type));
    const ScaleBytes scales = scale_bytes(block.type);
    std::vector<std::byte> alone(block.bytes.size(), std::byte{0x5A});
    std::copy_n(block.bytes.begin() + static_cast<std::ptrdiff_t>(scales.first), scales.size,
                alone.begin() + static_cast<std::ptrdiff_t>(scales.first));
    EXPECT_LE(scales.size, block.bytes.size() / 5);
    for (std::size_t g = 0; g < block.values.size() / kGroupValues; ++g) {
      const GroupScale expected = read_scale(block.type, block.bytes.data(), g);
      const GroupScale got = read_scale(block.type, alone.data(), g);
      EXPECT_EQ(got.scale, expected.scale);
      EXPECT_EQ(got.minimum, expected.minimum);
    }
  }
}

TEST(WeightGroup, FindsTheGroupsOfLaterBlocks) {
  for (const Block& block : blocks()) {
    SCOPED_TRACE(name(block.type));
    std::vector<std::byte> row(block.bytes.size(), std::byte{0x5A});
    row.insert(row.end(), block.bytes.begin(), block.bytes.end());
    const std::size_t groups = block.values.size() / kGroupValues;
    for (std::size_t g = 0; g < groups; ++g) {
      const WeightGroup group = read_group(block.type, row.data(), groups + g);
      EXPECT_EQ(group.codes, read_group(block.type, block.bytes.data(), g).codes) << g;
    }
  }
}

}  // namespace
}  // namespace headwater::kernels
