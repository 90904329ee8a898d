#pragma once
// What rotary embedding makes of vectors' means and second moments when each vector is met at many positions: in closed
// form, without turning anything.
//
// Numbers 2i and 2i + 1 of a head are a complex number z_i, which position p makes w_i = g_i z_i e^(j θ_i p) of. So
// over positions 0 … n - 1
//   E[w_i conj(w_l)] = g_i g_l E[z_i conj(z_l)] · mean_p e^(j (θ_i - θ_l) p)
//   E[w_i w_l]       = g_i g_l E[z_i z_l]       · mean_p e^(j (θ_i + θ_l) p)
// and the moments of the numbers themselves follow from those two.

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace headwater::model {

/// A table of rotary embedding.
struct RotaryTable {
  std::vector<float> frequencies;  ///< radians a position, of each pair that turns
  float magnitude = 1;             ///< what is turned grows by it
};

/// Threading: immutable.
class RotaryMeans {
 public:
  /// Of heads [head_dim] whose first pairs turn as `table` says. n_positions: 1 or more.
  RotaryMeans(const RotaryTable& table, std::uint32_t head_dim, std::uint32_t n_positions);

  /// Means [head_dim] of turned vectors, from those of vectors as they were.
  std::vector<double> mean(std::span<const double> before) const;
  /// Likewise second moments about zero, [head_dim, head_dim].
  std::vector<double> second_moments(std::span<const double> before) const;

 private:
  std::size_t head_dim_, pairs_;
  double n_positions_;
  std::vector<double> angles_, growth_;  ///< [pairs]; what does not turn has angle 0 and growth 1
};

/// The mean of e^(j angle p) over p = 0 … n - 1.
std::complex<double> mean_turn(double angle, double n);

}  // namespace headwater::model
