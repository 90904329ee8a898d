#pragma once
// How fast prompts are computed, as steps show. Threading: one caller at a time.

#include <algorithm>
#include <cstdint>

#include "schedule/step.h"

namespace headwater::schedule {

class PrefillSpeed {
 public:
  /// Steps of fewer rows decode, and so do those that check guesses, which says little of prompts; one that restored
  /// blocks did more than compute.
  static constexpr std::uint32_t kLeastRows = 64;
  /// Of a new step, in the mean.
  static constexpr double kWeight = 0.2;

  void add(const StepResult& result) {
    const bool restored =
        std::ranges::any_of(result.starts, [](const auto& start) { return start.details.source == CacheSource::disk; });
    const bool drafted = std::ranges::any_of(result.entries, [](const auto& entry) { return entry.drafted > 0; });
    if (result.rows < kLeastRows || result.duration <= 0 || restored || drafted) return;
    const double seconds = static_cast<double>(result.duration) * 1e-9 / result.rows;
    seconds_per_token_ =
        seconds_per_token_ == 0 ? seconds : seconds_per_token_ + kWeight * (seconds - seconds_per_token_);
  }

  /// Mean of the latest steps; 0: nothing is known yet.
  double tokens_per_second() const { return seconds_per_token_ == 0 ? 0 : 1 / seconds_per_token_; }

 private:
  double seconds_per_token_ = 0;
};

}  // namespace headwater::schedule
