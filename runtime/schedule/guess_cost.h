#pragma once
// What a guess costs, as steps show: one more row, beside what a step without guesses takes. It depends on the model,
// the processor and how many sequences decode, and nobody can say it beforehand. Threading: one caller at a time.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "schedule/step.h"

namespace headwater::schedule {

class GuessCost {
 public:
  /// Most sequences that decode in a step with guesses. Beyond, memory is no longer what a step waits for, and a wrong
  /// guess costs as much as a right one saves.
  static constexpr std::size_t kMostSequences = 8;
  /// A row's share of the time of a step of one row, until steps tell: 0.13 for 1.5 billion weights, 0.4 for 135
  /// million (Xeon with VNNI, no AMX), and a bit, since chances are learnt from few guesses.
  static constexpr double kFirstGuess = 0.6;
  /// Of a new step, in the means. Of one with guesses less: it is held against a mean that may be a while old.
  static constexpr double kWeight = 0.2;
  static constexpr double kWeightOfGuesses = 0.05;
  /// A row is not thought to cost less of a step, or more: beyond, steps were disturbed.
  static constexpr double kLeast = 0.01;
  static constexpr double kMost = 0.6;

  /// A step of which all entries decode tells something.
  void add(const StepResult& result) {
    const std::size_t n = result.entries.size();
    if (n == 0 || n > kMostSequences || result.duration <= 0 || !result.starts.empty()) return;
    std::uint32_t guesses = 0;
    for (const EntryResult& entry : result.entries) guesses += entry.drafted;
    if (result.rows != n + guesses) return;  // prompts are computed in it
    const auto duration = static_cast<double>(result.duration);
    Steps& steps = steps_.at(n - 1);
    if (guesses == 0) {
      steps.duration = steps.duration == 0 ? duration : steps.duration + kWeight * (duration - steps.duration);
    } else if (steps.duration > 0) {
      const double share = (duration - steps.duration) / guesses / steps.duration;
      steps.row_share += kWeightOfGuesses * (std::clamp(share, kLeast, kMost) - steps.row_share);
    }
  }

  /// The chance from which on a guess pays, where so many sequences decode: a right one saves its sequence a row, and
  /// its share of a step. REQUIRES: 1 <= sequences <= kMostSequences.
  double worth(std::size_t sequences) const {
    return std::min(static_cast<double>(sequences) * steps_.at(sequences - 1).row_share, 1.0);
  }

 private:
  /// Of as many sequences.
  struct Steps {
    double duration = 0;   ///< without guesses, in ns; 0: not known yet
    double row_share = 0;  ///< what a row more takes of that
  };
  static constexpr std::array<Steps, kMostSequences> first() {
    std::array<Steps, kMostSequences> all;
    for (std::size_t n = 1; n <= all.size(); ++n) {
      all[n - 1].row_share = kFirstGuess / (1 + kFirstGuess * static_cast<double>(n));
    }
    return all;
  }

  std::array<Steps, kMostSequences> steps_ = first();
};

}  // namespace headwater::schedule
