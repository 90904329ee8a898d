// headwater eval mmlu

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <system_error>

#include "model/model_info.h"
#include "tools/eval/mmlu.h"
#include "tools/headwater/eval.h"

namespace headwater::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSubjects = 1000;

struct Options {
  std::shared_ptr<EvalOptions> common = std::make_shared<EvalOptions>();
  std::string data;
  std::string reference;
  std::uint32_t limit = 0;
};

/// The folder's files whose names end so, without that, in order.
Result<std::vector<std::string>> list(const fs::path& folder, const std::string& ending) {
  std::vector<std::string> names;
  std::error_code failed;
  for (auto at = fs::directory_iterator(folder, failed); !failed && at != fs::directory_iterator();
       at.increment(failed)) {
    std::string name = at->path().filename().string();
    if (!name.ends_with(ending) || name.size() == ending.size()) continue;
    name.resize(name.size() - ending.size());
    names.push_back(std::move(name));
    if (names.size() > kMostSubjects) {
      return Error{ErrorCode::too_many, folder.string() + ": more than " + std::to_string(kMostSubjects) + " subjects",
                   ""};
    }
  }
  if (failed) return Error{ErrorCode::open_failed, "cannot read " + folder.string() + ": " + failed.message(), ""};
  if (names.empty()) {
    return Error{ErrorCode::no_questions, folder.string() + ": no files that end in " + ending, ""};
  }
  std::ranges::sort(names);
  return names;
}

Result<eval::Subject> read_subject(const std::string& name, const fs::path& shots_path,
                                   const std::optional<fs::path>& questions_path) {
  const auto shots = read_eval_file(shots_path.string());
  if (!shots) return shots.error();
  const eval::CsvText shots_csv{*shots, shots_path.string()};
  if (!questions_path) return eval::read_subject(name, shots_csv, std::nullopt);
  const auto questions = read_eval_file(questions_path->string());
  if (!questions) return questions.error();
  return eval::read_subject(name, shots_csv, eval::CsvText{*questions, questions_path->string()});
}

/// test/S_test.csv with dev/S_dev.csv, or S.csv.
Result<std::vector<eval::Subject>> read_folder(const fs::path& folder) {
  std::error_code ignored;
  const bool split = fs::is_directory(folder / "test", ignored);
  const auto names = split ? list(folder / "test", "_test.csv") : list(folder, ".csv");
  if (!names) return names.error();
  std::vector<eval::Subject> subjects;
  for (const std::string& name : *names) {
    auto subject =
        split ? read_subject(name, folder / "dev" / (name + "_dev.csv"), folder / "test" / (name + "_test.csv"))
              : read_subject(name, folder / (name + ".csv"), std::nullopt);
    if (!subject) return subject.error();
    subjects.push_back(std::move(*subject));
  }
  return subjects;
}

Result<std::vector<eval::Subject>> read_data(const Options& options) {
  std::error_code ignored;
  if (fs::is_directory(options.data, ignored)) {
    auto subjects = read_folder(options.data);
    if (!subjects || options.reference.empty()) return subjects;
    const auto reference = read_eval_file(options.reference);
    if (!reference) return reference.error();
    if (auto added = eval::add_reference(*subjects, *reference, options.reference); !added) return added.error();
    return subjects;
  }
  const auto text = read_eval_file(options.data);
  if (!text) return text.error();
  if (!options.data.ends_with(".jsonl")) {
    return Error{ErrorCode::unknown_format,
                 options.data + ": expected a folder of CSV files, or a file that ends in .jsonl", ""};
  }
  if (!options.reference.empty()) {
    return Error{ErrorCode::unknown_format,
                 "--reference goes with a folder; records of " + options.data + " bring their own", ""};
  }
  return eval::read_prompts(*text, options.data);
}

/// The questions as tokens. Those that the model's context is too short for are left out, and counted.
struct Asked {
  std::vector<eval::McPrompt> prompts;
  std::size_t too_long = 0;
  std::size_t longest = 0;
};

Result<Asked> cut_all(const std::vector<eval::Subject>& subjects, const eval::McAsker& asker, const Options& options,
                      std::uint32_t context) {
  Asked asked;
  for (const eval::Subject& subject : subjects) {
    const std::size_t n = subject.questions.size();
    for (std::size_t i = 0; i < (options.limit > 0 ? std::min<std::size_t>(options.limit, n) : n); ++i) {
      auto prompt = asker.cut(subject, subject.questions[i]);
      if (!prompt) return prompt.error();
      const std::size_t length = prompt->tokens.size() + asker.longest_choice();
      if (length > context) {
        ++asked.too_long;
        continue;
      }
      asked.longest = std::max(asked.longest, length);
      asked.prompts.push_back(std::move(*prompt));
    }
  }
  if (asked.prompts.empty())
    return Error{ErrorCode::no_questions, "there are no questions that fit the model's context", ""};
  return asked;
}

void add_row(Figures& figures, const std::string& policy, const eval::McTally& tally, std::size_t too_long) {
  nlohmann::ordered_json row{{"quant_policy", policy},
                             {"questions", tally.questions()},
                             {"too_long", too_long},
                             {"right", tally.right()},
                             {"accuracy", number_or_null(tally.accuracy())},
                             {"same_as_first_policy", number_or_null(tally.same_as_first())},
                             {"same_as_float32", number_or_null(tally.same_as_reference())},
                             {"logprob_difference", number_or_null(tally.difference())}};
  char begin[80];
  std::snprintf(begin, sizeof begin, "%-7s %9s %7s", policy.c_str(), model::with_commas(tally.questions()).c_str(),
                model::with_commas(tally.right()).c_str());
  figures.add(std::move(row), begin + column(tally.accuracy(), 4, 9) + column(tally.same_as_first(), 4, 9) +
                                  column(tally.same_as_reference(), 4, 10) + column(tally.difference(), 4, 10));
}

/// Asks models one after the other.
class Exam {
 public:
  Exam(const Options& options, const std::vector<eval::Subject>& subjects, Figures& figures)
      : options_(options), subjects_(subjects), figures_(figures) {}

  Result<void> add(EvalModel& model) {
    const auto asker = eval::McAsker::make(*model.tokenizer);
    if (!asker) return asker.error();
    const auto asked = cut_all(subjects_, *asker, options_, model.architecture->shape().context_length);
    if (!asked) return asked.error();
    figures_.begin(model.variant);
    return ask(*model.architecture, *asker, *asked);
  }

 private:
  Result<void> ask(model::Architecture& model, const eval::McAsker& asker, const Asked& asked) {
    const auto& policies = options_.common->policies;
    const auto progress = make_progress(asked.prompts.size() * policies.size(), "questions");
    eval::Scorer scorer(model);
    for (const eval::QuantPolicy& policy : policies) {
      progress->label("quant policy " + policy.name);
      scorer.reset(policy, asked.longest);
      eval::McTally tally;
      for (const eval::McPrompt& prompt : asked.prompts) {
        const auto logprobs = asker.ask(scorer, prompt);
        if (!logprobs) return logprobs.error();
        // Models with other tokens may have other questions that fit.
        const auto first = first_.emplace(prompt.question, eval::best_choice(*logprobs)).first;
        tally.add(*prompt.question, *logprobs, first->second);
        progress->advance(1);
      }
      progress->clear();
      add_row(figures_, policy.name, tally, asked.too_long);
    }
    return {};
  }

  const Options& options_;
  const std::vector<eval::Subject>& subjects_;
  Figures& figures_;
  std::map<const eval::McQuestion*, std::size_t> first_;  ///< what was chosen first
};

int mmlu(const Options& options) {
  const auto subjects = read_data(options);
  if (!subjects) return fail(subjects.error().message);
  Figures figures(*options.common, "policy  questions   right  accuracy  = first  = float32  log-prob.");
  Exam exam(options, *subjects, figures);
  const auto done = for_each_variant(*options.common, [&](EvalModel& model) { return exam.add(model); });
  if (!done) return fail(done.error().message);
  return figures.finish();
}

constexpr const char* kFooter =
    "Asks multiple-choice questions with five solved ones before each. The model's choice is the likeliest of \" A\", "
    "\" B\",\n"
    "\" C\" and \" D\" after \"Answer:\". What questions have in common with the one before is computed once.\n"
    "\n"
    "--data is one of:\n"
    "  a folder with dev/SUBJECT_dev.csv (the solved ones) and test/SUBJECT_test.csv, as MMLU is published\n"
    "  a folder with SUBJECT.csv, where the first five rows are the solved ones\n"
    "  a file that ends in .jsonl, with a whole prompt a line: \"prompt\", \"answer\" (0 to 3)\n"
    "CSV rows are question,A,B,C,D,answer, with the answer as 0 to 3 or A to D.\n"
    "\n"
    "--reference says what float32 chose: a record a line with \"subject\", \"question\" (its beginning will do), "
    "\"answer\",\n"
    "\"choice\" (0 to 3), and optionally \"logprobs\" of the four and \"prompt_tokens\", which must agree. Only these "
    "questions\n"
    "are asked then. A file of prompts has \"choice\" and the rest in its own records.\n"
    "\n"
    "= first      share of choices that are those of the first row: of the first model, precision and policy\n"
    "= float32    share of choices that are the reference's: for a small model, which answers near chance, this is "
    "the\n"
    "             measure, and not the accuracy\n"
    "log-prob.    mean absolute difference of the choices' log-probabilities from the reference's\n"
    "\n"
    "Example: headwater eval mmlu --data tests/reference/data/mmlu --reference tests/reference/data/smollm2/mmlu.jsonl";

}  // namespace

void add_eval_mmlu(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("mmlu", "How well the model answers multiple-choice questions");
  auto options = std::make_shared<Options>();
  command->add_option("--data", options->data, "the questions, see below")->required()->type_name("DIR|FILE");
  command->add_option("--reference", options->reference, "what float32 chose, see below")->type_name("FILE");
  add_eval_options(*command, options->common);
  command->add_option("--limit", options->limit, "questions of each subject, from the first on; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return mmlu(*options); }; });
}

}  // namespace headwater::tools
