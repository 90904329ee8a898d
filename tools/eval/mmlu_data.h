#pragma once
// Questions with four choices, as MMLU has them, each with five solved ones before it.
//
// A prompt is the line "The following are multiple choice questions (with answers) about SUBJECT.", an empty line, the
// solved questions with "Answer: X" and an empty line each, and the question up to "Answer:"; questions without the
// spaces around them. The model's choice is the likeliest of " A", " B", " C" and " D".
// Source: Hendrycks et al. 2021, Measuring Massive Multitask Language Understanding.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"

namespace headwater::eval {

inline constexpr std::size_t kChoices = 4;
inline constexpr std::size_t kShots = 5;

/// What a float32 reference found.
struct McReference {
  std::string place;
  std::size_t choice = 0;
  std::optional<std::array<double, kChoices>> logprobs;
  std::optional<std::size_t> prompt_tokens;
};

struct McQuestion {
  std::string place;       ///< "FILE:LINE"
  std::string text;        ///< with the choices, up to "Answer:"
  std::size_t answer = 0;  ///< the right choice
  std::optional<McReference> reference;
};

struct Subject {
  std::string name;
  std::string preamble;  ///< what stands before each question: the introduction and the solved questions
  std::vector<McQuestion> questions;
};

/// One subject from CSV rows `question,A,B,C,D,answer`, where the answer is 0 … 3 or A … D; a row that says just that
/// is a heading. The first five of `shots` are the solved ones, all of `questions` are asked; where there is no
/// `questions`, what follows the first five of `shots`. The names are those of the files, for messages.
struct CsvText {
  std::string_view text;
  std::string name;
};
Result<Subject> read_subject(const std::string& name, const CsvText& shots, const std::optional<CsvText>& questions);

/// JSON Lines of whole prompts: `prompt`, `answer` (0 … 3), and optionally `choice`, `logprobs` and `prompt_tokens` of
/// a float32 reference.
Result<std::vector<Subject>> read_prompts(std::string_view jsonl, const std::string& name);

/// JSON Lines of what float32 chose: `subject`, `question` (its beginning will do), `answer`, `choice`, and optionally
/// `logprobs` and `prompt_tokens`; a subject's in the order of its questions. Questions without a reference are left
/// out. Error: a record that does not belong to the question in its place.
Result<void> add_reference(std::vector<Subject>& subjects, std::string_view jsonl, const std::string& name);

}  // namespace headwater::eval
