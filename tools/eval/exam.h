#pragma once
// A model's multiple-choice questions, asked once under each quant policy.

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "headwater/result.h"
#include "tools/eval/mmlu.h"
#include "tools/eval/quant_policy.h"

namespace headwater::eval {

/// What was chosen where a question was asked first.
using FirstChoices = std::map<const McQuestion*, std::size_t>;

class Exam {
 public:
  /// Cuts the first `limit` questions of each subject, 0: all. Those that `context` is too short for are left out, and
  /// counted. Subjects and tokenizer must outlive the exam. Error: no question is left.
  static Result<Exam> make(const std::vector<Subject>& subjects, const model::Tokenizer& tokenizer,
                           std::uint32_t context, std::uint32_t limit);

  std::size_t questions() const { return prompts_.size(); }
  std::size_t too_long() const { return too_long_; }

  /// Asks all of them, in order, with the cache stored by `policy`; tells on_answer of each. Choices are compared with
  /// those of `first`, which takes those of questions that it does not know. Error: logits that are not usable.
  Result<McTally> ask(Scorer& scorer, const QuantPolicy& policy, FirstChoices& first,
                      const std::function<void()>& on_answer = {}) const;

 private:
  explicit Exam(McAsker asker) : asker_(std::move(asker)) {}

  McAsker asker_;
  std::vector<McPrompt> prompts_;
  std::size_t too_long_ = 0;
  std::size_t longest_ = 0;  ///< tokens of a prompt and a choice
};

}  // namespace headwater::eval
