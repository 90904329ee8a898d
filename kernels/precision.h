#pragma once
// How products with quantised weights are computed, by what a person names.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace headwater::kernels {

/// Weights that the file does not quantise are as exact has them in each.
enum class Precision : std::uint8_t {
  /// As balanced; but where prompts are faster by it (AVX2 without AMX), activations are rounded to 8 bits, 32 at a
  /// time. Not those of logits, of the first and the last layer, and of models with gates of GELU below 1,536 wide.
  fast,
  balanced,  ///< weights as the file has them, activations rounded to 16 bits, with one scale for a row
  /// Weights expanded, and both bfloat16. Where the processor has no bfloat16 products: float32, with weights of
  /// float16 if it has AVX2.
  exact,
};

/// In the order of the enum.
inline constexpr std::array<std::string_view, 3> kPrecisions = {"fast", "balanced", "exact"};

/// Nothing: no precision has that name.
std::optional<Precision> parse_precision(std::string_view name);

}  // namespace headwater::kernels
