#include "kernels/cpu/panel_packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "tests/kernels/weights.h"

namespace headwater::kernels::cpu {
namespace {

class Packing : public testing::TestWithParam<DType> {};

TEST_P(Packing, KeepsTheCodes) {
  constexpr std::size_t kGroups = 24;
  const PanelFormat format = *panel_format(GetParam());
  const Weights weights = make_weights(GetParam(), kPanel, kGroups * kGroup, 7);
  std::vector<std::byte> panel(panel_bytes(format, kGroups));
  const auto row = [&](std::size_t r) { return weights.tensor.data + r * row_bytes(GetParam(), kGroups * kGroup); };
  for (std::size_t r = 0; r < kPanel; ++r) pack_column(GetParam(), row(r), r, kGroups, panel.data());
  for (std::size_t r = 0; r < kPanel; ++r) {
    for (std::size_t g = 0; g < kGroups; ++g) {
      const WeightGroup expected = read_group(GetParam(), row(r), g);
      EXPECT_EQ(read_codes(GetParam(), expected, panel.data(), r, g, kGroups), expected.codes) << r << ' ' << g;
    }
  }
}

TEST_P(Packing, LeavesTheOtherColumnsAlone) {
  const Weights weights = make_weights(GetParam(), 1, 256, 7);
  const PanelFormat format = *panel_format(GetParam());
  std::vector<std::byte> panel(panel_bytes(format, 8));
  pack_column(GetParam(), weights.tensor.data, 5, 8, panel.data());
  const std::vector<std::byte> before = panel;
  pack_column(GetParam(), weights.tensor.data, 6, 8, panel.data());
  const GroupScale scale = read_scale(GetParam(), weights.tensor.data, 3);
  EXPECT_EQ(read_codes(GetParam(), scale, panel.data(), 5, 3, 8),
            read_codes(GetParam(), scale, before.data(), 5, 3, 8));
  const PanelView view = view_panel(format, panel.data(), 8);
  const PanelView old = view_panel(format, before.data(), 8);
  EXPECT_EQ(view.steps[5], old.steps[5]);
  for (std::size_t g = 0; g < 8; ++g) {
    const std::size_t place = g * n_numbers(format) + factor_place(format, 5);
    EXPECT_EQ(view.numbers[place], old.numbers[place]);
    if (has_two_numbers(format)) {
      EXPECT_EQ(view.numbers[place + to_second(format)], old.numbers[place + to_second(format)]);
    }
  }
}

/// What the bounds of product.h start from.
TEST_P(Packing, KeepsWeightsWithinTheirBound) {
  constexpr std::size_t kGroups = 48;
  const PanelFormat format = *panel_format(GetParam());
  const Weights weights = make_weights(GetParam(), 1, kGroups * kGroup, 3);
  std::vector<std::byte> panel(panel_bytes(format, kGroups));
  pack_column(GetParam(), weights.tensor.data, 0, kGroups, panel.data());
  const PanelView view = view_panel(format, panel.data(), kGroups);
  const GroupFormat codes = group_format(GetParam());
  const int middle = has_nibbles(format) ? kMiddle : codes.has_minimum ? (codes.most + 1) / 2 : codes.zero;
  int greatest = 0;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const std::int16_t* numbers = view.numbers + g * n_numbers(format);
    const int second = has_two_numbers(format) ? numbers[to_second(format)] : 0;
    const bool two_factors = format == PanelFormat::sixes_two_factors;
    const int offset = format == PanelFormat::nibbles_minus_8 ? -numbers[0] : two_factors ? 0 : second;
    for (const int code : {codes.least, codes.most}) {
      greatest = std::max(greatest, std::abs(numbers[0] * (code - middle) + offset));
      if (two_factors) greatest = std::max(greatest, std::abs(second * (code - middle)));
    }
  }
  EXPECT_LE(greatest, 31065);
  EXPECT_GE(greatest, kGreatestWeight - 65);
}

INSTANTIATE_TEST_SUITE_P(Types, Packing,
                         testing::Values(DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k,
                                         DType::q5_k, DType::q6_k, DType::iq4_nl, DType::iq4_xs),
                         [](const auto& info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace headwater::kernels::cpu
