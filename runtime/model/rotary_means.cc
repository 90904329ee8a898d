#include "model/rotary_means.h"

#include <algorithm>
#include <cmath>

namespace headwater::model {

using Complex = std::complex<double>;

Complex mean_turn(double angle, double n) {
  const double half = angle / 2;
  const double one = std::sin(half);
  // Near whole turns nothing cancels in this form. Beyond 1 the quotient is what rounding made of it.
  const double length = one == 0 ? 1 : std::clamp(std::sin(n * half) / (n * one), -1.0, 1.0);
  return std::polar(1.0, half * (n - 1)) * length;
}

RotaryMeans::RotaryMeans(const RotaryTable& table, std::uint32_t head_dim, std::uint32_t n_positions)
    : head_dim_(head_dim), pairs_((std::size_t{head_dim} + 1) / 2), n_positions_(n_positions) {
  angles_.resize(pairs_);
  growth_.assign(pairs_, 1);
  for (std::size_t i = 0; i < table.frequencies.size(); ++i) {
    angles_[i] = table.frequencies[i];
    growth_[i] = table.magnitude;
  }
}

std::vector<double> RotaryMeans::mean(std::span<const double> before) const {
  std::vector<double> after(head_dim_);
  for (std::size_t i = 0; i < pairs_; ++i) {
    const bool whole = 2 * i + 1 < head_dim_;
    const Complex w =
        Complex(before[2 * i], whole ? before[2 * i + 1] : 0) * growth_[i] * mean_turn(angles_[i], n_positions_);
    after[2 * i] = w.real();
    if (whole) after[2 * i + 1] = w.imag();
  }
  return after;
}

std::vector<double> RotaryMeans::second_moments(std::span<const double> before) const {
  const auto number = [&](std::size_t row, std::size_t column) {
    return row < head_dim_ && column < head_dim_ ? before[row * head_dim_ + column] : 0;
  };
  std::vector<double> after(head_dim_ * head_dim_);
  const auto put = [&](std::size_t row, std::size_t column, double x) {
    if (row >= head_dim_ || column >= head_dim_) return;
    after[row * head_dim_ + column] = after[column * head_dim_ + row] = x;
  };
  for (std::size_t i = 0; i < pairs_; ++i) {
    for (std::size_t l = i; l < pairs_; ++l) {
      const double xx = number(2 * i, 2 * l);
      const double xy = number(2 * i, 2 * l + 1);
      const double yx = number(2 * i + 1, 2 * l);
      const double yy = number(2 * i + 1, 2 * l + 1);
      const double growth = growth_[i] * growth_[l];
      const Complex apart = Complex(xx + yy, yx - xy) * growth * mean_turn(angles_[i] - angles_[l], n_positions_);
      const Complex together = Complex(xx - yy, xy + yx) * growth * mean_turn(angles_[i] + angles_[l], n_positions_);
      put(2 * i, 2 * l, (apart.real() + together.real()) / 2);
      put(2 * i + 1, 2 * l + 1, (apart.real() - together.real()) / 2);
      put(2 * i, 2 * l + 1, (together.imag() - apart.imag()) / 2);
      put(2 * i + 1, 2 * l, (together.imag() + apart.imag()) / 2);
    }
  }
  return after;
}

}  // namespace headwater::model
