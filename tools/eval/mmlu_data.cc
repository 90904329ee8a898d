#include "tools/eval/mmlu_data.h"

#include <algorithm>
#include <map>

#include "tools/eval/csv.h"
#include "tools/eval/jsonl.h"

namespace headwater::eval {
namespace {

constexpr char kLetters[] = "ABCD";
constexpr std::size_t kFields = 1 + kChoices + 1;
constexpr std::size_t kMostPromptTokens = 1U << 24U;

/// The choice that "2" or "C" means.
std::optional<std::size_t> parse_answer(const std::string& text) {
  if (text.size() != 1) return std::nullopt;
  for (std::size_t i = 0; i < kChoices; ++i) {
    if (text[0] == kLetters[i] || text[0] == static_cast<char>('0' + i)) return i;
  }
  return std::nullopt;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

Result<McQuestion> parse_row(const CsvRow& row) {
  if (row.fields.size() != kFields) {
    return Error{ErrorCode::invalid_csv,
                 row.place + ": expected question,A,B,C,D,answer; found " + std::to_string(row.fields.size()) +
                     (row.fields.size() == 1 ? " field" : " fields"),
                 ""};
  }
  const auto answer = parse_answer(row.fields.back());
  if (!answer) {
    return Error{ErrorCode::invalid_csv,
                 row.place + ": the answer is \"" + row.fields.back().substr(0, 64) + "\", expected 0 … 3 or A … D",
                 ""};
  }
  McQuestion question{row.place, trimmed(row.fields[0]) + "\n", *answer, std::nullopt};
  for (std::size_t i = 0; i < kChoices; ++i) {
    question.text += std::string(1, kLetters[i]) + ". " + row.fields[1 + i] + "\n";
  }
  question.text += "Answer:";
  return question;
}

bool is_heading(const CsvRow& row) { return row.fields.size() == kFields && row.fields.back() == "answer"; }

Result<std::vector<McQuestion>> parse_rows(const CsvText& csv) {
  std::vector<McQuestion> questions;
  bool first = true;
  const auto read = read_csv(csv.text, csv.name, kFields, [&](const CsvRow& row) -> Result<void> {
    if (!std::exchange(first, false) || !is_heading(row)) {
      auto question = parse_row(row);
      if (!question) return question.error();
      questions.push_back(std::move(*question));
    }
    return {};
  });
  if (!read) return read.error();
  return questions;
}

McReference read_reference(Record& record) {
  McReference reference;
  reference.place = record.place();
  reference.choice = static_cast<std::size_t>(record.integer("choice", 0, kChoices - 1));
  if (record.has("prompt_tokens")) {
    reference.prompt_tokens = static_cast<std::size_t>(record.integer("prompt_tokens", 1, kMostPromptTokens));
  }
  if (record.has("logprobs")) {
    const std::vector<double> logprobs = record.numbers("logprobs");
    if (logprobs.size() == kChoices) {
      std::ranges::copy(logprobs, reference.logprobs.emplace().begin());
    } else {
      record.fail("\"logprobs\" has " + std::to_string(logprobs.size()) + " numbers, expected 4");
    }
  }
  return reference;
}

std::size_t read_answer(Record& record) { return static_cast<std::size_t>(record.integer("answer", 0, kChoices - 1)); }

/// Puts the record beside the next question of its subject that has none.
void attach(std::vector<Subject>& subjects, std::map<std::string, std::size_t>& attached, Record& record) {
  const std::string name = record.text("subject");
  const std::string begins = trimmed(record.text("question"));
  const std::size_t answer = read_answer(record);
  McReference reference = read_reference(record);
  if (record.error()) return;
  const auto subject = std::ranges::find(subjects, name, &Subject::name);
  if (subject == subjects.end()) return record.fail("there are no questions about \"" + name.substr(0, 64) + "\"");
  const std::size_t index = attached[name]++;
  if (index >= subject->questions.size()) {
    return record.fail("\"" + name + "\" has only " + std::to_string(subject->questions.size()) + " questions");
  }
  McQuestion& question = subject->questions[index];
  if (!question.text.starts_with(begins) || question.answer != answer) {
    return record.fail("this is not the question at " + question.place + ", whose turn it is");
  }
  question.reference = std::move(reference);
}

}  // namespace

Result<Subject> read_subject(const std::string& name, const CsvText& shots, const std::optional<CsvText>& questions) {
  auto solved = parse_rows(shots);
  if (!solved) return solved.error();
  if (solved->size() < kShots) {
    return Error{ErrorCode::invalid_csv,
                 shots.name + ": " + std::to_string(solved->size()) + " questions, expected at least 5", ""};
  }
  Subject subject;
  subject.name = name;
  std::string spoken = name;
  std::ranges::replace(spoken, '_', ' ');
  subject.preamble = "The following are multiple choice questions (with answers) about " + spoken + ".\n\n";
  for (std::size_t i = 0; i < kShots; ++i) {
    const McQuestion& shot = (*solved)[i];
    subject.preamble += shot.text + " " + kLetters[shot.answer] + "\n\n";
  }
  if (questions) {
    auto asked = parse_rows(*questions);
    if (!asked) return asked.error();
    subject.questions = std::move(*asked);
  } else {
    solved->erase(solved->begin(), solved->begin() + kShots);
    subject.questions = std::move(*solved);
  }
  return subject;
}

Result<std::vector<Subject>> read_prompts(std::string_view jsonl, const std::string& name) {
  Subject all;
  all.name = name;
  const auto read = read_jsonl(jsonl, name, [&](Record& record) -> Result<void> {
    if (!record.has("prompt") && record.has("choice")) {
      record.fail(
          "no \"prompt\"; a file of what float32 chose goes to --reference, beside --data DIR with the questions");
    }
    McQuestion question{record.place(), record.text("prompt"), read_answer(record), std::nullopt};
    if (record.has("choice")) question.reference = read_reference(record);
    if (question.text.empty()) record.fail("\"prompt\" is empty");
    if (record.error()) return *record.error();
    all.questions.push_back(std::move(question));
    return {};
  });
  if (!read) return read.error();
  if (all.questions.empty()) return Error{ErrorCode::no_records, name + ": there are no records", ""};
  return std::vector<Subject>{std::move(all)};
}

Result<void> add_reference(std::vector<Subject>& subjects, std::string_view jsonl, const std::string& name) {
  std::map<std::string, std::size_t> attached;
  const auto read = read_jsonl(jsonl, name, [&](Record& record) -> Result<void> {
    attach(subjects, attached, record);
    return record.error() ? Result<void>(*record.error()) : Result<void>();
  });
  if (!read) return read;
  if (attached.empty()) return Error{ErrorCode::no_records, name + ": there are no records", ""};
  for (Subject& subject : subjects) subject.questions.resize(attached[subject.name]);
  std::erase_if(subjects, [](const Subject& subject) { return subject.questions.empty(); });
  return {};
}

}  // namespace headwater::eval
