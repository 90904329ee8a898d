#pragma once
// How much work a request is, before it is tokenized, matched and computed: guessed from what those before it were.
//
// Threading: one caller at a time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "headwater/request.h"
#include "schedule/answer_kind.h"

namespace headwater::schedule {

/// A mean in which the latest values count most.
class RecentMean {
 public:
  explicit RecentMean(double weight) : weight_(weight) {}
  /// The first value is taken as it is.
  void add(double value) {
    mean_ = known_ ? mean_ + weight_ * (value - mean_) : value;
    known_ = true;
  }
  bool known() const { return known_; }
  double or_else(double fallback) const { return known_ ? mean_ : fallback; }

 private:
  double weight_;
  double mean_ = 0;
  bool known_ = false;
};

/// Tokens that are expected of a request.
struct ExpectedWork {
  double prompt = 1;          ///< to be computed: what the cache will likely have is taken off
  double answer = 1;          ///< to be generated
  double certain_answer = 1;  ///< of them, those that nothing but max_tokens ends
};

class WorkGuess {
 public:
  ExpectedWork expect(const Request& request) const;

  // What became of requests:
  void tokenized(const Request& request, std::uint32_t prompt_tokens);
  void started(std::uint32_t prompt_tokens, std::uint32_t cached_tokens);
  void finished(const Request& request, std::uint32_t answer_tokens);
  /// It had so many tokens and would have had more.
  void cut(const Request& request, std::uint32_t answer_tokens);

 private:
  static constexpr double kWeight = 1.0 / 16;

  double usual_answer(const Request& request) const;

  RecentMean tokens_per_byte_{kWeight};
  // Their quotient is the share of prompts that the cache has.
  RecentMean prompt_tokens_{kWeight}, cached_tokens_{kWeight};
  std::array<RecentMean, kAnswerKinds> answers_ = make_kinds();

  static std::array<RecentMean, kAnswerKinds> make_kinds();
};

}  // namespace headwater::schedule
