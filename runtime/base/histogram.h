#pragma once
// Counts values in buckets, as Prometheus wants them. Threading: one caller at a time.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace headwater {

class Histogram {
 public:
  /// `bounds`: the largest value of each bucket, ascending; they outlive this.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void add(double value) {
    ++counts_[static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin())];
    sum_ += value;
  }

  /// Of each bucket, and last of values above all bounds.
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

}  // namespace headwater
