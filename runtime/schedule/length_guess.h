#pragma once
// How many tokens an answer still gets, as those of its kind did that ended lately: not one number, but how likely each
// is. Of answers that have come so far, those that ended earlier say nothing any more.
// Source: Gong et al., "Past-future scheduler for LLM serving under SLA guarantees", 2025 (lengths of the past,
// conditioned on what has been generated).
//
// Threading: one caller at a time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "schedule/answer_kind.h"
#include "schedule/step.h"

namespace headwater::schedule {

/// What is to come of one answer. Valid until the guess learns more.
class RestOfAnswer {
 public:
  RestOfAnswer() = default;  ///< nothing
  /// It goes on to its very end.
  static RestOfAnswer certain(std::uint32_t tokens);

  /// How likely more than so many tokens come yet: 0 … 1.
  double outlasts(double tokens) const;
  /// The share `p` of such answers, 0 … 1, gets no more than so many tokens yet.
  double quantile(double p) const;
  bool is_certain() const { return least_ >= most_; }

 private:
  friend class LengthGuess;

  double generated_ = 0;
  double least_ = 0, most_ = 0;   ///< that come yet in any case, and at most
  double unit_ = 1;               ///< tokens that lengths_ are counted in
  std::span<const double> ends_;  ///< lengths of answers that were longer, in ascending order
  double tail_ = 0, top_ = 0;     ///< answers that get longer than those end between these tokens
};

class LengthGuess {
 public:
  /// An answer has left after so many tokens, for whatever reason. One without a token says nothing.
  void ended(const AdmittedRequest& request, std::uint32_t tokens);

  RestOfAnswer rest(const AdmittedRequest& request, std::uint32_t generated) const;

 private:
  static constexpr std::size_t kKept = 64;  ///< answers of a kind
  static constexpr std::size_t kFew = 8;    ///< tell nothing of long ones yet

  /// In units of the kind.
  struct Kind {
    std::vector<double> latest;  ///< a ring
    std::size_t next = 0;
    std::vector<double> sorted;
  };
  std::array<Kind, kAnswerKinds> kinds_;
};

}  // namespace headwater::schedule
