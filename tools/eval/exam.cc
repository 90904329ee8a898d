#include "tools/eval/exam.h"

#include <algorithm>
#include <utility>

namespace headwater::eval {

Result<Exam> Exam::make(const std::vector<Subject>& subjects, const model::Tokenizer& tokenizer, std::uint32_t context,
                        std::uint32_t limit) {
  auto asker = McAsker::make(tokenizer);
  if (!asker) return asker.error();
  Exam exam(std::move(*asker));
  for (const Subject& subject : subjects) {
    const std::size_t n = subject.questions.size();
    for (std::size_t i = 0; i < (limit > 0 ? std::min<std::size_t>(limit, n) : n); ++i) {
      auto prompt = exam.asker_.cut(subject, subject.questions[i]);
      if (!prompt) return prompt.error();
      const std::size_t length = prompt->tokens.size() + exam.asker_.longest_choice();
      if (length > context) {
        ++exam.too_long_;
        continue;
      }
      exam.longest_ = std::max(exam.longest_, length);
      exam.prompts_.push_back(std::move(*prompt));
    }
  }
  if (exam.prompts_.empty()) {
    return Error{ErrorCode::no_questions, "there are no questions that fit the model's context", ""};
  }
  return exam;
}

Result<McTally> Exam::ask(Scorer& scorer, const QuantPolicy& policy, FirstChoices& first,
                          const std::function<void()>& on_answer) const {
  scorer.reset(policy, longest_);
  McTally tally;
  for (const McPrompt& prompt : prompts_) {
    const auto logprobs = asker_.ask(scorer, prompt);
    if (!logprobs) return logprobs.error();
    const auto chosen_first = first.emplace(prompt.question, best_choice(*logprobs)).first;
    tally.add(*prompt.question, *logprobs, chosen_first->second);
    if (on_answer) on_answer();
  }
  return tally;
}

}  // namespace headwater::eval
