#pragma once
// How rotary embedding turns positions into angles. Sources: Su et al., "RoFormer", 2021; Peng et al., "YaRN: efficient
// context window extension of large language models", 2023.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace headwater::model {

struct RopeSpec {
  double base = 10000;
  double factor = 1;    ///< positions are divided by it
  float magnitude = 1;  ///< what is turned grows by it
  /// Of what a file calls "yarn": slow frequencies are divided by `factor`, fast ones are not.
  struct Yarn {
    double original_context = 0;           ///< tokens that the model was trained on before
    double beta_fast = 32, beta_slow = 1;  ///< turns within that from which on, and up to which
  };
  std::optional<Yarn> yarn;
  /// The tensor whose values each frequency is divided by. Empty: none.
  std::string factors;
};

/// Radians a position, [dim / 2]. factors: [dim / 2], or empty.
std::vector<float> inverse_frequencies(const RopeSpec& rope, std::uint32_t dim, std::span<const float> factors);

/// What YaRN has attention grow by: 0.1 ln(factor) + 1.
float yarn_magnitude(double factor);
/// The same of Phi-3's long factors: sqrt(1 + ln(context / original) / ln(original)), 1 where nothing is extended.
float long_rope_magnitude(double context, double original);

}  // namespace headwater::model
