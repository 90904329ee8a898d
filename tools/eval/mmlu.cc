#include "tools/eval/mmlu.h"

#include <algorithm>
#include <cmath>

namespace headwater::eval {
namespace {

constexpr const char* kChoiceTexts[kChoices] = {" A", " B", " C", " D"};

std::optional<double> share(double part, std::size_t of) {
  return of == 0 ? std::nullopt : std::optional(part / static_cast<double>(of));
}

}  // namespace

Result<McAsker> McAsker::make(const model::Tokenizer& tokenizer) {
  McAsker asker(tokenizer);
  for (std::size_t i = 0; i < kChoices; ++i) {
    asker.choices_[i] = tokenizer.encode(kChoiceTexts[i], {});
    if (asker.choices_[i].empty()) {
      return Error{ErrorCode::invalid_model,
                   "the model's tokenizer makes no token of \"" + std::string(kChoiceTexts[i]) + "\"", ""};
    }
  }
  return asker;
}

Result<McPrompt> McAsker::cut(const Subject& subject, const McQuestion& question) const {
  McPrompt prompt{&question, tokenizer_.encode(subject.preamble + question.text, {.add_special = true})};
  const auto& reference = question.reference;
  if (reference && reference->prompt_tokens.value_or(prompt.tokens.size()) != prompt.tokens.size()) {
    return Error{ErrorCode::invalid_record,
                 reference->place + ": \"prompt_tokens\" is " + std::to_string(*reference->prompt_tokens) +
                     ", and the prompt of " + question.place + " has " + std::to_string(prompt.tokens.size()) +
                     " tokens; is this a record of another model or of other solved questions?",
                 ""};
  }
  return prompt;
}

std::size_t McAsker::longest_choice() const {
  return std::ranges::max(choices_, {}, &std::vector<TokenId>::size).size();
}

Result<std::array<double, kChoices>> McAsker::ask(Scorer& scorer, const McPrompt& prompt) const {
  std::array<double, kChoices> sums{};
  const std::size_t n = prompt.tokens.size();
  scorer.run(prompt.tokens, n - 1, [&](std::size_t, std::span<const float> logits) {
    for (std::size_t i = 0; i < kChoices; ++i) sums[i] = logprob(logits, choices_[i][0]);
  });
  // Most tokenizers have one token for each choice, and then that was all.
  for (std::size_t i = 0; i < kChoices; ++i) {
    const std::vector<TokenId>& choice = choices_[i];
    if (choice.size() == 1) continue;
    std::vector<TokenId> tokens = prompt.tokens;
    tokens.insert(tokens.end(), choice.begin(), choice.end() - 1);
    std::vector<double> rest(choice.size() - 1);
    scorer.run(tokens, n, [&](std::size_t index, std::span<const float> logits) {
      rest[index - n] = logprob(logits, choice[index - n + 1]);
    });
    for (const double part : rest) sums[i] += part;
  }
  if (std::ranges::any_of(sums, [](double sum) { return std::isnan(sum); })) {
    return Error{ErrorCode::bad_logits, prompt.question->place + ": the model gave no usable logits (NaN or infinity)",
                 ""};
  }
  return sums;
}

std::size_t best_choice(const std::array<double, kChoices>& logprobs) {
  return static_cast<std::size_t>(std::ranges::max_element(logprobs) - logprobs.begin());
}

void McTally::add(const McQuestion& question, const std::array<double, kChoices>& logprobs, std::size_t first_choice) {
  const std::size_t choice = best_choice(logprobs);
  ++questions_;
  right_ += choice == question.answer ? 1 : 0;
  first_ += choice == first_choice ? 1 : 0;
  if (!question.reference) return;
  ++referenced_;
  same_ += choice == question.reference->choice ? 1 : 0;
  if (!question.reference->logprobs) return;
  for (std::size_t i = 0; i < kChoices; ++i) difference_ += std::abs(logprobs[i] - (*question.reference->logprobs)[i]);
  compared_ += kChoices;
}

std::optional<double> McTally::accuracy() const { return share(static_cast<double>(right_), questions_); }
std::optional<double> McTally::same_as_first() const { return share(static_cast<double>(first_), questions_); }
std::optional<double> McTally::same_as_reference() const { return share(static_cast<double>(same_), referenced_); }
std::optional<double> McTally::difference() const { return share(difference_, compared_); }

}  // namespace headwater::eval
