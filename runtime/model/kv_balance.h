#pragma once
// Maps for a head's keys and queries that leave the error of rounding keys where queries do not look.
//
// With S the covariance of keys and Q the second moments of queries, A is found with A S Aᵀ = A⁻ᵀ Q A⁻¹ = Λ, diagonal:
// keys are stored as A (k - centre), queries become A⁻ᵀ q, and every channel of keys has as much spread as its queries
// have weight. With S = L Lᵀ and Lᵀ Q L = V Λ² Vᵀ it is A = Λ^½ Vᵀ L⁻¹. A thousandth of each one's mean is added to its
// diagonal first, so that no channel counts for nothing.
//
// The order of channels is free. A Hadamard matrix comes after, and mixes each into all; but its columns 0, 32, 64 …
// are the same all over a group of 32 numbers, whose minimum takes up what they have in common. So the widest go there.

#include <cstddef>
#include <span>
#include <vector>

namespace headwater::model {

/// Of a KV head's keys and of its group's queries, turned by rotary embedding. Anything may not be finite.
struct HeadSpread {
  std::vector<double> centre;   ///< [head_dim]: of keys; zeros: keys stay where they are
  std::vector<double> keys;     ///< [head_dim, head_dim]: second moments about the centre
  std::vector<double> queries;  ///< [head_dim, head_dim]: about zero
};

/// All numbers are finite, and keysᵀ · queries is the identity.
struct HeadMaps {
  std::vector<float> centre;         ///< [head_dim]
  std::vector<float> keys, queries;  ///< [head_dim, head_dim]: A and A⁻ᵀ
  float scale = 1;                   ///< what keys are multiplied by, and queries divided, in place of the maps
};

/// Mapped keys about the centre, and scaled ones, have mean square 1 a number. What does not vary or is not finite
/// gives the identity; that of numbers that are not finite has the centre 0.
HeadMaps balance(const HeadSpread& spread);

/// A centre as floats hold it; zeros where they cannot.
std::vector<float> narrow_centre(std::span<const double> centre);

/// The power of two next to 1 / rms of numbers with that mean square; 1 where there is none.
float value_scale(double mean_square);

}  // namespace headwater::model
