#include "model/rope_spec.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace headwater::model {

std::vector<float> inverse_frequencies(const RopeSpec& rope, std::uint32_t dim, std::span<const float> factors) {
  // The pair that turns `turns` times within the original context.
  const auto pair_of = [&](double turns) {
    const double length = rope.yarn->original_context / (turns * 2 * std::numbers::pi);
    return dim * std::log(length) / (2 * std::log(rope.base));
  };
  double low = 0;
  double high = 0;
  if (rope.yarn) {
    low = std::max(0.0, std::floor(pair_of(rope.yarn->beta_fast)));
    high = std::min(dim - 1.0, std::ceil(pair_of(rope.yarn->beta_slow)));
    if (high <= low) high = low + 0.001;
  }
  std::vector<float> frequencies(dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / dim;
    double scale = 1 / rope.factor;
    if (rope.yarn) {
      const double slow = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
      scale = slow / rope.factor + (1 - slow);
    }
    const double divisor = factors.empty() ? 1 : factors[i];
    frequencies[i] = static_cast<float>(std::pow(rope.base, exponent) * scale / divisor);
  }
  return frequencies;
}

float yarn_magnitude(double factor) { return factor <= 1 ? 1.0F : static_cast<float>(0.1 * std::log(factor) + 1); }

float long_rope_magnitude(double context, double original) {
  if (context <= original || original <= 1) return 1;
  return static_cast<float>(std::sqrt(1 + std::log(context / original) / std::log(original)));
}

}  // namespace headwater::model
