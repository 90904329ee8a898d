#pragma once
// What a step costs, as steps show: a base, and so much for each token that is decoded or computed of a prompt. It is
// fitted to the latest steps (least squares, old ones count less). Where they do not tell two costs apart, they keep
// what was known of them.
//
// Threading: one caller at a time.

#include <array>
#include <cstddef>

namespace headwater::schedule {

class StepCost {
 public:
  /// Steps after which the oldest count for 1/e.
  static constexpr double kMemory = 256;

  /// `decode` and `prefill`: rows of a step that took `seconds`.
  void add(double decode, double prefill, double seconds);

  /// Whether a step has been seen.
  bool known() const { return weight_ > 0; }
  /// Of such a step; 0: nothing is known.
  double seconds(double decode, double prefill) const;

 private:
  static constexpr std::size_t kParts = 3;  ///< base, decode, prefill
  using Vector = std::array<double, kParts>;

  static Vector features(double decode, double prefill);
  void fit() const;

  std::array<Vector, kParts> squares_{};  ///< sum of x xᵀ
  Vector products_{};                     ///< sum of x · seconds
  double weight_ = 0;
  mutable Vector cost_{};  ///< of the features; none is negative
  mutable bool stale_ = false;
};

}  // namespace headwater::schedule
