#pragma once
// What a model chooses: of four answers, the likeliest after the prompt.

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "headwater/result.h"
#include "model/tokenizer.h"
#include "tools/eval/mmlu_data.h"
#include "tools/eval/scorer.h"

namespace headwater::eval {

/// A question as tokens.
struct McPrompt {
  const McQuestion* question = nullptr;
  std::vector<TokenId> tokens;
};

/// Cuts prompts, and asks for the choices' likelihoods.
class McAsker {
 public:
  /// `tokenizer` must outlive it. Error: a tokenizer that makes nothing of " A".
  static Result<McAsker> make(const model::Tokenizer& tokenizer);

  /// Error: a prompt that has another length than the reference says.
  Result<McPrompt> cut(const Subject& subject, const McQuestion& question) const;
  /// Tokens that the cache must hold beyond a prompt's.
  std::size_t longest_choice() const;

  /// Log-probabilities of " A" … " D" after the prompt. Error: logits that are not usable, with the place.
  Result<std::array<double, kChoices>> ask(Scorer& scorer, const McPrompt& prompt) const;

 private:
  explicit McAsker(const model::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  const model::Tokenizer& tokenizer_;
  std::array<std::vector<TokenId>, kChoices> choices_;
};

/// The likeliest; of equals, the first.
std::size_t best_choice(const std::array<double, kChoices>& logprobs);

/// What came of the questions under one quantisation policy.
class McTally {
 public:
  /// `first_choice`: what the first policy chose.
  void add(const McQuestion& question, const std::array<double, kChoices>& logprobs, std::size_t first_choice);

  std::size_t questions() const { return questions_; }
  std::size_t right() const { return right_; }
  std::optional<double> accuracy() const;
  std::optional<double> same_as_first() const;      ///< share of choices
  std::optional<double> same_as_reference() const;  ///< share of choices, of the questions that have a reference
  /// Mean absolute difference of the choices' log-probabilities from the reference.
  std::optional<double> difference() const;

 private:
  std::size_t questions_ = 0, right_ = 0, first_ = 0;
  std::size_t referenced_ = 0, same_ = 0, compared_ = 0;
  double difference_ = 0;
};

}  // namespace headwater::eval
