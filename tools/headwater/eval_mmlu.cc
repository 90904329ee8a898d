// headwater eval mmlu

#include <cstdio>
#include <string>

#include "model/model_info.h"
#include "tools/eval/exam.h"
#include "tools/headwater/eval.h"
#include "tools/headwater/questions.h"

namespace headwater::tools {
namespace {

struct Options {
  std::shared_ptr<EvalOptions> common = std::make_shared<EvalOptions>();
  std::string data;
  std::string reference;
  std::uint32_t limit = 0;
};

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

/// Asks models one after the other. Models with other tokens may have other questions that fit.
class Exams {
 public:
  Exams(const Options& options, const std::vector<eval::Subject>& subjects, Figures& figures)
      : options_(options), subjects_(subjects), figures_(figures) {}

  Result<void> add(EvalModel& model) {
    const auto exam =
        eval::Exam::make(subjects_, *model.tokenizer, model.architecture->shape().context_length, options_.limit);
    if (!exam) return exam.error();
    figures_.begin(model.variant);
    const auto& policies = options_.common->policies;
    const auto progress = make_progress(exam->questions() * policies.size(), "questions");
    eval::Scorer scorer(*model.architecture);
    for (const eval::QuantPolicy& policy : policies) {
      progress->label("quant policy " + policy.name);
      const auto tally = exam->ask(scorer, policy, first_, [&] { progress->advance(1); });
      if (!tally) return tally.error();
      progress->clear();
      add_row(figures_, policy.name, *tally, exam->too_long());
    }
    return {};
  }

 private:
  const Options& options_;
  const std::vector<eval::Subject>& subjects_;
  Figures& figures_;
  eval::FirstChoices first_;
};

int mmlu(const Options& options) {
  const auto subjects = read_questions(options.data, options.reference);
  if (!subjects) return fail(subjects.error().message);
  Figures figures(*options.common, "policy  questions   right  accuracy  = first  = float32  log-prob.");
  Exams exams(options, *subjects, figures);
  const auto done = for_each_variant(*options.common, [&](EvalModel& model) { return exams.add(model); });
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
