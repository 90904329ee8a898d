#pragma once
// Counts steps by duration and by sequences, in the buckets of headwater/runtime.h. Threading: one caller at a time.

#include "base/histogram.h"
#include "headwater/runtime.h"
#include "schedule/step.h"

namespace headwater::actors {

class StepHistogram {
 public:
  void add(const schedule::StepResult& result) {
    if (result.rows == 0) return;  // a plan that only retired sequences is no step
    seconds_.add(static_cast<double>(result.duration) * 1e-9);
    sizes_.add(static_cast<double>(result.entries.size()));
  }

  void report(Stats& stats) const {
    stats.batch_size_sum = static_cast<std::uint64_t>(sizes_.sum());
    stats.step_seconds_sum = seconds_.sum();
    stats.step_seconds_counts = seconds_.counts();
    stats.batch_size_counts = sizes_.counts();
  }

 private:
  Histogram seconds_{kStepSecondsBounds};
  Histogram sizes_{kBatchSizeBounds};
};

}  // namespace headwater::actors
