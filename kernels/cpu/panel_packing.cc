#include "kernels/cpu/panel_packing.h"

#include <cmath>
#include <cstring>

namespace headwater::kernels::cpu {
namespace {

static_assert(kGroup == kGroupValues);
constexpr std::size_t kQuads = kGroup / 4;
using Codes = std::array<std::uint8_t, kGroup>;

/// What codes of 6 or 8 bits become greater by in a panel, so that the one which stands for 0, or is in the middle
/// where there is a minimum, becomes the panel's middle.
int code_shift(PanelFormat format, const GroupFormat& codes) {
  return middle(format) - (codes.has_minimum ? (codes.most + 1) / 2 : codes.zero);
}

/// Nibbles need factors that are not negative where they have an offset: codes are counted from the other end then.
bool is_turned(PanelFormat format, const GroupScale& scale) {
  return format == PanelFormat::nibbles && scale.scale[0] < 0;
}

/// Four codes of a column that follow each other along K, in the order in which panels have them.
std::uint32_t load_quad(const std::uint8_t* codes) {
  std::uint32_t quad;
  std::memcpy(&quad, codes, sizeof quad);
  return quad;
}
/// Where quad `i` of a column is among a group's codes.
std::size_t quad_place(std::size_t i, std::size_t column) { return (i * kPanel + column) * 4; }

void place_codes(PanelFormat format, const Codes& group, std::size_t column, std::byte* codes) {
  const auto quad = [&](std::size_t i) { return load_quad(group.data() + 4 * i); };
  const auto place = [&](std::size_t i, std::uint32_t bytes) {
    std::memcpy(codes + quad_place(i, column), &bytes, sizeof bytes);
  };
  if (has_nibbles(format)) {
    for (std::size_t i = 0; i < kQuads / 2; ++i) place(i, quad(i) | quad(i + kQuads / 2) << 4U);
  } else if (has_sixes(format)) {
    constexpr std::uint32_t kTwoBits = 0x03030303;
    for (std::size_t four = 0; four < kQuads / 4; ++four) {
      for (std::size_t i = 0; i < 3; ++i) {
        place(3 * four + i, quad(4 * four + i) | (quad(4 * four + 3) >> (4 - 2 * i) & kTwoBits) << 6U);
      }
    }
  } else {
    for (std::size_t i = 0; i < kQuads; ++i) place(i, quad(i));
  }
}

/// What 1 is worth in a row of `groups` groups.
float step_of(DType type, const std::byte* row, std::size_t groups) {
  const GroupFormat codes = group_format(type);
  float greatest = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    const GroupScale scale = read_scale(type, row, g);
    for (std::size_t half = 0; half < (codes.one_scale ? 1 : 2); ++half) {
      const float at_zero = scale.minimum[half] - static_cast<float>(codes.zero) * scale.scale[half];
      for (const std::uint8_t code : {codes.least, codes.most}) {
        const float end = static_cast<float>(code) * scale.scale[half] + at_zero;
        if (!(std::abs(end) <= greatest)) greatest = std::abs(end);  // a NaN stays
        if (std::isnan(greatest)) return greatest;
      }
    }
  }
  return greatest / kGreatestWeight;
}

std::int16_t in_steps(float value, float step) {
  // A step of zero is a row of zeros; one that is not finite makes the results NaN by itself.
  return step > 0 && std::isfinite(step) ? static_cast<std::int16_t>(std::nearbyint(value / step)) : std::int16_t{0};
}

/// A group's factor, and its offset or second factor, of which some formats have neither.
struct Numbers {
  float factor, second;
};
/// The numbers of a group of which `group.codes` become those of the panel.
Numbers adapt(PanelFormat format, const GroupFormat& codes, WeightGroup& group) {
  const float scale = group.scale[0];
  const float at_zero = group.minimum[0] - static_cast<float>(codes.zero) * scale;
  if (!has_nibbles(format)) {
    const int shift = code_shift(format, codes);
    for (std::uint8_t& code : group.codes) code = static_cast<std::uint8_t>(code + shift);
    if (format == PanelFormat::sixes_two_factors) return {scale, group.scale[1]};
    return {scale, at_zero + static_cast<float>(middle(format) - shift) * scale};
  }
  if (!is_turned(format, group)) return {scale, at_zero + kMiddle * scale};
  for (std::uint8_t& code : group.codes) code = static_cast<std::uint8_t>(15 - code);
  const float at_end = at_zero + 15 * scale;
  return {-scale, at_end + kMiddle * -scale};
}

}  // namespace

std::optional<PanelFormat> panel_format(DType type) {
  if (block_values(type) == 1) return std::nullopt;
  const GroupFormat codes = group_format(type);
  if (codes.one_scale && codes.most < 16)
    return codes.has_minimum ? PanelFormat::nibbles : PanelFormat::nibbles_minus_8;
  if (codes.most < 64) {
    if (codes.one_scale) return codes.has_minimum ? PanelFormat::sixes_and_offset : PanelFormat::sixes_minus_32;
    if (!codes.has_minimum) return PanelFormat::sixes_two_factors;
  } else if (codes.one_scale && !codes.has_minimum) {
    return PanelFormat::bytes_minus_128;
  }
  return std::nullopt;
}

void pack_column(DType type, const std::byte* row, std::size_t column, std::size_t groups, std::byte* panel) {
  const PanelFormat format = *panel_format(type);
  const GroupFormat codes = group_format(type);
  const PanelView view = view_panel(format, panel, groups);
  const auto place = [&](const void* part) { return panel + (static_cast<const std::byte*>(part) - panel); };
  const float step = step_of(type, row, groups);
  const float sum_step = std::ldexp(step, 8 + sum_shift(groups * kGroup));
  std::memcpy(place(view.steps + column), &sum_step, sizeof sum_step);
  for (std::size_t g = 0; g < groups; ++g) {
    WeightGroup group = read_group(type, row, g);
    const Numbers values = adapt(format, codes, group);
    place_codes(format, group.codes, column, panel + g * code_bytes(format));
    const std::int16_t factor = in_steps(values.factor, step);
    const std::int16_t* numbers = view.numbers + g * n_numbers(format) + factor_place(format, column);
    std::memcpy(place(numbers), &factor, sizeof factor);
    if (!has_two_numbers(format)) continue;
    const std::int16_t second = in_steps(values.second, step);
    std::memcpy(place(numbers + to_second(format)), &second, sizeof second);
  }
}

std::array<std::uint8_t, kGroupValues> read_codes(DType type, const GroupScale& scale, const std::byte* panel,
                                                  std::size_t column, std::size_t group, std::size_t groups) {
  const PanelFormat format = *panel_format(type);
  const std::byte* codes = view_panel(format, panel, groups).codes + group * code_bytes(format);
  const auto shift = static_cast<unsigned>(has_nibbles(format) ? 0 : code_shift(format, group_format(type)));
  Codes read;
  for (std::size_t k = 0; k < kGroup; ++k) {
    const std::size_t quad = k / 4;
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(codes[quad_place(i, column) + k % 4]); };
    unsigned code = 0;
    if (has_nibbles(format)) {
      const unsigned both = byte(quad % (kQuads / 2));
      code = k < kGroup / 2 ? both & 15U : both >> 4U;
      if (is_turned(format, scale)) code = 15 - code;
    } else if (has_sixes(format)) {
      const std::size_t four = quad / 4 * 3;
      code = quad % 4 < 3 ? byte(four + quad % 4) & 63U
                          : byte(four) >> 6U << 4U | byte(four + 1) >> 6U << 2U | byte(four + 2) >> 6U;
    } else {
      code = byte(quad);
    }
    read[k] = static_cast<std::uint8_t>(code - shift);
  }
  return read;
}

}  // namespace headwater::kernels::cpu
