// headwater eval perplexity

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "model/model_info.h"
#include "tools/eval/perplexity.h"
#include "tools/headwater/eval.h"

namespace headwater::tools {
namespace {

struct Options {
  std::shared_ptr<EvalOptions> common = std::make_shared<EvalOptions>();
  WindowOptions windows;
  std::string text;
};

/// What is known of one policy, and of the first one, over the same texts.
void add_row(Figures& figures, const std::string& policy, const std::string& text, const eval::Likelihood& sums,
             const eval::Likelihood& first, bool in_table) {
  const auto perplexity = sums.perplexity();
  const auto ratio = perplexity ? std::optional(*perplexity / *first.perplexity()) : std::nullopt;
  nlohmann::ordered_json row{{"quant_policy", policy},
                             {"text", text},
                             {"tokens", sums.tokens},
                             {"perplexity", number_or_null(perplexity)},
                             {"ratio_to_first_policy", number_or_null(ratio)},
                             {"ratio_to_float32", number_or_null(sums.ratio_to_reference())},
                             {"top_logprob_difference", number_or_null(sums.mean_top_difference())}};
  if (!in_table) return figures.add(std::move(row));
  char begin[160];
  const std::string name = std::filesystem::path(text).filename().string();
  std::snprintf(begin, sizeof begin, "%-7s %-24.24s %9s", policy.c_str(), name.c_str(),
                model::with_commas(sums.tokens).c_str());
  figures.add(std::move(row), begin + column(perplexity, 4, 12) + column(ratio, 5, 10) +
                                  column(sums.ratio_to_reference(), 5, 10) + column(sums.mean_top_difference(), 4, 13));
}

/// Measures models one after the other, over the texts as the first cuts them.
class Measurement {
 public:
  Measurement(const Options& options, Figures& figures) : options_(options), figures_(figures) {}

  Result<void> add(EvalModel& model) {
    if (auto read = read_works(model); !read) return read;
    figures_.begin(model.variant);
    return measure(*model.architecture);
  }

 private:
  /// The texts, where this is the first model; else whether it cuts them in the same way.
  Result<void> read_works(const EvalModel& model) {
    const auto sizes = window_sizes(options_.windows, model.architecture->shape().context_length, UINT32_MAX);
    if (!sizes) return sizes.error();
    if (!works_.empty()) return check_same_tokens(first_model_, model);
    auto documents = read_documents(options_.text, *model.tokenizer);
    if (!documents) return documents.error();
    works_ = make_works(std::move(*documents), *sizes, options_.windows.limit);
    window_ = sizes->length;
    first_model_.variant = model.variant;
    first_model_.tokenizer = model.tokenizer;
    return {};
  }

  /// Every policy; rows for all texts together, for each, and the longest once more for the table.
  Result<void> measure(model::Architecture& model) {
    const auto& policies = options_.common->policies;
    const auto progress = make_progress(rows_of(works_) * policies.size(), "tokens");
    eval::Scorer scorer(model, [&](std::size_t n) { progress->advance(n); });
    const auto length = [](const Work& work) { return work.document.tokens.size(); };
    const auto longest = static_cast<std::size_t>(std::ranges::max_element(works_, {}, length) - works_.begin());
    for (const eval::QuantPolicy& policy : policies) {
      progress->label("quant policy " + policy.name);
      scorer.reset(policy, room_for(works_, window_));
      std::vector<eval::Likelihood> each;
      for (const Work& work : works_) {
        auto sums = eval::measure(scorer, work.document, work.windows);
        if (!sums) return sums.error();
        each.push_back(*sums);
      }
      if (first_.empty()) first_ = each;
      progress->clear();
      eval::Likelihood all;
      eval::Likelihood all_first;
      for (std::size_t i = 0; i < works_.size(); ++i) {
        all += each[i];
        all_first += first_[i];
      }
      const std::string whole =
          works_.size() == 1 ? works_[0].document.place : std::to_string(works_.size()) + " records";
      add_row(figures_, policy.name, whole, all, all_first, true);
      for (std::size_t i = 0; works_.size() > 1 && i < works_.size(); ++i) {
        add_row(figures_, policy.name, works_[i].document.place, each[i], first_[i], i == longest);
      }
    }
    return {};
  }

  const Options& options_;
  Figures& figures_;
  std::vector<Work> works_;
  std::uint32_t window_ = 0;
  EvalModel first_model_;  ///< without its weights
  std::vector<eval::Likelihood> first_;
};

int perplexity(const Options& options) {
  Figures figures(*options.common,
                  "policy  text                        tokens   perplexity    ÷ first ÷ float32  top log-prob.");
  Measurement measurement(options, figures);
  const auto done = for_each_variant(*options.common, [&](EvalModel& model) { return measurement.add(model); });
  if (!done) return fail(done.error().message);
  return figures.finish();
}

constexpr const char* kFooter =
    "Each token is scored by what stands before it, and the perplexity is exp of the mean negative log-likelihood: "
    "how\n"
    "many tokens the model finds equally likely, so less is better. Prompts go through the model as the server's do, "
    "in\n"
    "chunks and through the same KV cache.\n"
    "\n"
    "A text longer than --window is computed in windows, each --stride tokens further on than the one before; a "
    "window\n"
    "scores the tokens that the one before has not, so that each has at least window - stride tokens before it. A "
    "smaller\n"
    "stride costs more and is nearer to reading the text in one. The figures of two runs can be compared only if both\n"
    "have the same windows.\n"
    "\n"
    "A file that ends in .jsonl holds a record a line: \"prompt\", or its tokens in \"ids\"; and, where a float32 "
    "reference\n"
    "is known, \"mean_nll\" of the text's tokens (nats), \"top10_ids\" and \"top10_logprobs\" after it. The table has "
    "a row\n"
    "for all records and one for the longest; --json has every record.\n"
    "\n"
    "÷ first        perplexity divided by that of the first row: of the first model, precision and policy\n"
    "÷ float32      perplexity divided by the reference's, over the records that have one and are one window\n"
    "top log-prob.  mean absolute difference of the reference's best tokens' log-probabilities\n"
    "\n"
    "Examples:\n"
    "  headwater eval perplexity --text book.txt --window 2048 --limit 20\n"
    "  headwater eval perplexity --text tests/reference/data/smollm2/completions.jsonl --quant-policy 0 --json "
    "out.json\n"
    "  headwater eval perplexity --text book.txt --model big.gguf --model small.gguf --precision fast,exact";

}  // namespace

void add_eval_perplexity(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("perplexity", "How likely the model finds texts");
  auto options = std::make_shared<Options>();
  command->add_option("--text", options->text, "a text, or records that end in .jsonl")->required()->type_name("FILE");
  add_eval_options(*command, options->common);
  add_window_options(*command, options->windows, "the model's context");
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return perplexity(*options); }; });
}

}  // namespace headwater::tools
