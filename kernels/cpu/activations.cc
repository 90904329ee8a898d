#include "kernels/cpu/activations.h"

#ifndef HEADWATER_ROW_FACTORS
#define HEADWATER_ROW_FACTORS  // this file is included once for each instruction set
#include <cstring>
namespace headwater::kernels::cpu {
namespace {

/// Fills a row that is not usable, or what a last step of one group leaves over.
void clear_steps(const QuantizedRows& into, std::size_t row, std::size_t first_step, std::size_t offset) {
  for (std::size_t step = first_step; step < into.steps; ++step) {
    std::memset(into.at(row, step) + offset, 0, kStep - offset);
    std::memset(into.at(row, step) + into.low + offset, 0, kStep - offset);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/activations.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kGroup / 2>;
using Numbers = hn::RebindToSigned<Floats>;

/// As whole numbers the magnitudes of floats have the same order, and NaN is the greatest.
float GreatestMagnitude(const float* x, std::size_t groups) {
  const Floats d;
  const Numbers di;
  const std::size_t lanes = hn::Lanes(d);
  const auto magnitude = hn::Set(di, 0x7FFFFFFF);
  auto even = hn::Zero(di);
  auto odd = hn::Zero(di);
  for (std::size_t i = 0; i < groups * kGroup; i += 2 * lanes) {
    even = hn::Max(even, hn::And(hn::BitCast(di, hn::LoadU(d, x + i)), magnitude));
    odd = hn::Max(odd, hn::And(hn::BitCast(di, hn::LoadU(d, x + i + lanes)), magnitude));
  }
  return hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, hn::Max(even, odd))));
}

void QuantizeRow(const float* x, const QuantizedRows& into, std::size_t row) {
  const Floats d;
  const Numbers di;
  const hn::Rebind<std::int8_t, Floats> d8;
  const std::size_t lanes = hn::Lanes(d);
  const RowFactors factors = row_factors(GreatestMagnitude(x, into.groups));
  into.scales[row] = factors.scale;
  GroupSums* sums = into.sums == nullptr ? nullptr : into.sums + row * into.groups;
  if (!factors.usable) {
    clear_steps(into, row, 0, 0);
    for (std::size_t g = 0; sums != nullptr && g < into.groups; ++g) sums[g] = {};
    return;
  }
  const auto factor = hn::Set(d, factors.inverse);
  const auto half = hn::Set(di, 128);
  const auto byte = hn::Set(di, 255);
  for (std::size_t g = 0; g < into.groups; ++g, x += kGroup) {
    std::int8_t* codes = into.at(row, g / 2) + g % 2 * kGroup;
    int high_sums[2];
    int low_sums[2];
    for (std::size_t h = 0; h < 2; ++h) {
      auto high_sum = hn::Zero(di);
      auto low_sum = hn::Zero(di);
      for (std::size_t i = h * kGroup / 2; i < (h + 1) * kGroup / 2; i += lanes) {
        const auto shifted = hn::Add(hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor)), half);
        const auto high = hn::ShiftRight<8>(shifted);
        const auto low = hn::Sub(hn::And(shifted, byte), half);
        high_sum = hn::Add(high_sum, high);
        low_sum = hn::Add(low_sum, low);
        hn::StoreU(hn::DemoteTo(d8, high), d8, codes + i);
        hn::StoreU(hn::DemoteTo(d8, low), d8, codes + into.low + i);
      }
      high_sums[h] = hn::GetLane(hn::SumOfLanes(di, high_sum));
      low_sums[h] = hn::GetLane(hn::SumOfLanes(di, low_sum));
    }
    if (sums != nullptr) sums[g] = GroupSums::of(high_sums[0], low_sums[0], high_sums[1], low_sums[1]);
  }
  if (into.groups % 2 == 1) clear_steps(into, row, into.steps - 1, kGroup);
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <bit>
#include <cmath>

namespace headwater::kernels::cpu {

HWY_EXPORT(QuantizeRow);
void quantize_row_portable(const float* x, const QuantizedRows& into, std::size_t row) {
  HWY_DYNAMIC_DISPATCH(QuantizeRow)(x, into, row);
}

namespace reference {
void quantize_row(const float* x, const QuantizedRows& into, std::size_t row) {
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < into.groups * kGroup; ++i) {
    most = std::max(most, std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFFU);
  }
  const RowFactors factors = row_factors(std::bit_cast<float>(most));
  into.scales[row] = factors.scale;
  clear_steps(into, row, 0, 0);
  for (std::size_t g = 0; g < into.groups; ++g) {
    int high_sums[2] = {};
    int low_sums[2] = {};
    for (std::size_t i = g * kGroup; i < (g + 1) * kGroup; ++i) {
      const int number = factors.usable ? static_cast<int>(std::nearbyint(x[i] * factors.inverse)) : 0;
      std::int8_t* code = into.at(row, i / kStep) + i % kStep;
      code[0] = static_cast<std::int8_t>((number + 128) >> 8);
      code[into.low] = static_cast<std::int8_t>(number - 256 * code[0]);
      high_sums[i % kGroup / (kGroup / 2)] += code[0];
      low_sums[i % kGroup / (kGroup / 2)] += code[into.low];
    }
    if (into.sums != nullptr) {
      into.sums[row * into.groups + g] = GroupSums::of(high_sums[0], low_sums[0], high_sums[1], low_sums[1]);
    }
  }
}
}  // namespace reference

void Activations::resize(std::size_t rows, std::size_t groups, bool tiles) {
  const std::size_t steps = (groups + 1) / 2;
  const std::size_t whole = (rows + kTileRows - 1) / kTileRows * kTileRows;
  const auto make_room = [](auto& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size);
  };
  constexpr std::size_t kAlignment = 64;
  make_room(codes_, whole * steps * 2 * kStep + kAlignment);
  make_room(scales_, whole);
  if (!tiles) make_room(sums_, rows * groups);
  rows_.rows = rows;
  rows_.groups = groups;
  rows_.steps = steps;
  const std::size_t misplaced = reinterpret_cast<std::uintptr_t>(codes_.data()) % kAlignment;
  rows_.codes = reinterpret_cast<std::int8_t*>(codes_.data()) + (kAlignment - misplaced) % kAlignment;
  rows_.low = tiles ? kTileRows * kStep : kStep;
  rows_.step_stride = tiles ? 2 * kTileRows * kStep : 2 * kStep;
  rows_.row_stride = tiles ? kStep : steps * 2 * kStep;
  rows_.tile_stride = kTileRows * steps * 2 * kStep;
  rows_.scales = scales_.data();
  rows_.sums = tiles ? nullptr : sums_.data();
}

}  // namespace headwater::kernels::cpu
#endif
