#pragma once
// Times as people write them.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

namespace headwater {

/// "300s", "1.5h", "250 ms", "5m" in milliseconds; none: no number, or no unit of those.
inline std::optional<double> parse_duration_ms(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kUnits{
      {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}}};
  const std::size_t split = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string_view unit = text.substr(split);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + split, number);
  if (failed != std::errc() || end != text.data() + split || !std::isfinite(number)) return std::nullopt;
  for (const auto& [name, factor] : kUnits) {
    if (name == unit) return number * factor;
  }
  return std::nullopt;
}

}  // namespace headwater
