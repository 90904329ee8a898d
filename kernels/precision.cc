#include "kernels/precision.h"

#include <algorithm>

namespace headwater::kernels {

std::optional<Precision> parse_precision(std::string_view name) {
  const auto* const found = std::ranges::find(kPrecisions, name);
  if (found == kPrecisions.end()) return std::nullopt;
  return static_cast<Precision>(found - kPrecisions.begin());
}

}  // namespace headwater::kernels
