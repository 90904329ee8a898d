#include "kernels/cpu/panel_packing.h"

#include <cmath>
#include <cstring>

namespace headwater::kernels::cpu {
namespace {

static_assert(kGroup == kGroupValues);
constexpr std::size_t kQuads = kGroup / 4;
using Codes = std::array<std::uint8_t, kGroup>;

/// The code of the file that stands where W is the offset alone, or 0: of formats with a minimum one in the middle.
int middle_code(const GroupFormat& codes) { return codes.has_minimum ? (codes.most + 1) / 2 : codes.zero; }

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
  const bool nibbles = has_nibbles(format);
  for (std::size_t i = 0; i < (nibbles ? kQuads / 2 : kQuads); ++i) {
    std::uint32_t quad = load_quad(group.data() + 4 * i);
    if (nibbles) quad |= load_quad(group.data() + kGroup / 2 + 4 * i) << 4U;
    std::memcpy(codes + quad_place(i, column), &quad, sizeof quad);
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
  const int middle = middle_code(codes);
  if (!has_nibbles(format)) {
    for (std::uint8_t& code : group.codes) code = static_cast<std::uint8_t>(code + 128 - middle);
    if (format == PanelFormat::bytes_two_factors) return {scale, group.scale[1]};
    return {scale, at_zero + static_cast<float>(middle) * scale};
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
  const bool nibbles = codes.most < 16;
  if (!codes.one_scale) {
    if (nibbles || codes.has_minimum) return std::nullopt;
    return PanelFormat::bytes_two_factors;
  }
  if (codes.has_minimum) return nibbles ? PanelFormat::nibbles : PanelFormat::bytes_and_offset;
  return nibbles ? PanelFormat::nibbles_minus_8 : PanelFormat::bytes_minus_128;
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
  const int middle = middle_code(group_format(type));
  Codes read;
  for (std::size_t k = 0; k < kGroup; ++k) {
    if (!has_nibbles(format)) {
      const auto code = std::to_integer<int>(codes[quad_place(k / 4, column) + k % 4]);
      read[k] = static_cast<std::uint8_t>(code - 128 + middle);
      continue;
    }
    const auto both = std::to_integer<unsigned>(codes[quad_place(k / 4 % (kQuads / 2), column) + k % 4]);
    const unsigned code = k < kGroup / 2 ? both & 15U : both >> 4U;
    read[k] = static_cast<std::uint8_t>(is_turned(format, scale) ? 15 - code : code);
  }
  return read;
}

}  // namespace headwater::kernels::cpu
