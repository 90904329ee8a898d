#pragma once
// What a step costs, as steps show: a base, and so much for each token that is decoded or computed of a prompt. It is
// fitted to the latest steps (least squares, old ones count less). Where they do not tell two costs apart, they keep
// what was known of them. A step that something else held up counts for a few times what was expected of it: one stall
// says little of the steps to come, and a machine that has become slower is believed after a few steps all the same.
//
// Threading: one caller at a time.

#include <array>
#include <cstddef>
#include <cstdint>

namespace headwater::schedule {

class StepCost {
 public:
  /// Steps after which the oldest count for 1/e.
  static constexpr double kMemory = 256;
  /// Steps before a forecast is firm enough to doubt a step by it.
  static constexpr std::uint32_t kFewest = 16;
  /// From then on a step counts for at most so many times its forecast.
  static constexpr double kMostSurprise = 3;

  /// `decode` and `prefill`: rows of a step that took `seconds`.
  void add(double decode, double prefill, double seconds);

  /// Whether a step has been seen.
  bool known() const { return steps_ > 0; }
  /// Of such a step; 0: no step has been seen.
  double seconds(double decode, double prefill) const;

 private:
  static constexpr std::size_t kParts = 3;  ///< base, decode, prefill
  using Vector = std::array<double, kParts>;

  static Vector features(double decode, double prefill);
  void fit() const;

  std::array<Vector, kParts> squares_{};  ///< sum of x xᵀ
  Vector products_{};                     ///< sum of x · seconds
  double weight_ = 0;
  std::uint32_t steps_ = 0;  ///< up to kFewest
  mutable Vector cost_{};    ///< of the features; none is negative
  mutable bool stale_ = false;
};

}  // namespace headwater::schedule
