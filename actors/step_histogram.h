#pragma once
// Counts steps by duration and by sequences, in the buckets of headwater/runtime.h.

#include <algorithm>
#include <iterator>

#include "actors/messages.h"
#include "headwater/runtime.h"

namespace headwater::actors {

class StepHistogram {
 public:
  void add(const schedule::StepResult& result) {
    if (result.rows == 0) return;  // a plan that only retired sequences is no step
    const double seconds = static_cast<double>(result.duration) * 1e-9;
    ++seconds_counts_[bucket(kStepSecondsBounds, seconds)];
    ++size_counts_[bucket(kBatchSizeBounds, static_cast<double>(result.entries.size()))];
    seconds_ += seconds;
    sequences_ += result.entries.size();
  }

  void report(StageStats& stats) const {
    stats.batch_size_sum = sequences_;
    stats.step_seconds = seconds_;
    stats.step_seconds_counts = seconds_counts_;
    stats.batch_size_counts = size_counts_;
  }

 private:
  template <std::size_t N>
  static std::size_t bucket(const double (&bounds)[N], double value) {
    return static_cast<std::size_t>(std::lower_bound(std::begin(bounds), std::end(bounds), value) - bounds);
  }

  std::vector<std::uint64_t> seconds_counts_ = std::vector<std::uint64_t>(std::size(kStepSecondsBounds) + 1);
  std::vector<std::uint64_t> size_counts_ = std::vector<std::uint64_t>(std::size(kBatchSizeBounds) + 1);
  double seconds_ = 0;
  std::uint64_t sequences_ = 0;
};

}  // namespace headwater::actors
