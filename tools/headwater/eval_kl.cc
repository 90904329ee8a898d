// headwater eval kl

#include <cstdio>
#include <filesystem>

#include "model/model_info.h"
#include "tools/eval/kl.h"
#include "tools/eval/sample_text.h"
#include "tools/headwater/eval.h"

namespace headwater::tools {
namespace {

constexpr std::uint32_t kUsualWindow = 2048;

struct Options {
  std::shared_ptr<EvalOptions> common = std::make_shared<EvalOptions>();
  WindowOptions windows;
  EvalVariant base{"", "exact"};
  std::string base_policy = "0";
  std::string text;
};

Result<std::vector<eval::Document>> texts(const Options& options, const model::Tokenizer& tokenizer) {
  if (!options.text.empty()) return read_documents(options.text, tokenizer);
  auto document = eval::text_document(eval::kSampleText, "the built-in text", tokenizer);
  if (!document) return document.error();
  return std::vector<eval::Document>{std::move(*document)};
}

/// A base, and models that are held against it one after the other.
class Comparison {
 public:
  Comparison(const Options& options, EvalModel base, Figures& figures)
      : options_(options), base_(std::move(base)), figures_(figures), base_scorer_(*base_.architecture) {}

  Result<void> read_texts() {
    const auto context = base_.architecture->shape().context_length;
    const auto sizes = window_sizes(options_.windows, context, kUsualWindow);
    if (!sizes) return sizes.error();
    auto documents = texts(options_, *base_.tokenizer);
    if (!documents) return documents.error();
    window_ = sizes->length;
    works_ = make_works(std::move(*documents), *sizes, options_.windows.limit);
    return {};
  }

  Result<void> add(EvalModel& model) {
    if (auto same = check_same_tokens(base_, model); !same) return same;
    if (window_ > model.architecture->shape().context_length) {
      return Error{ErrorCode::invalid_window,
                   "--window " + std::to_string(window_) + " is beyond the " +
                       std::to_string(model.architecture->shape().context_length) + " of " + model.variant.model,
                   ""};
    }
    figures_.begin(model.variant);
    const auto& policies = options_.common->policies;
    const auto progress = make_progress(rows_of(works_) * policies.size(), "tokens");
    eval::Scorer scorer(*model.architecture);
    for (const eval::QuantPolicy& policy : policies) {
      progress->label("quant policy " + policy.name);
      eval::KlTally tally;
      if (auto done = compare(scorer, policy, tally, *progress); !done) return done;
      progress->clear();
      add_row(policy.name, tally);
    }
    return {};
  }

 private:
  Result<void> compare(eval::Scorer& scorer, const eval::QuantPolicy& policy, eval::KlTally& tally,
                       eval::Progress& progress) {
    const auto base_policy = eval::parse_quant_policies(options_.base_policy);
    if (!base_policy) return base_policy.error();
    const std::size_t room = room_for(works_, window_);
    base_scorer_.reset(base_policy->front(), room);
    scorer.reset(policy, room);
    for (const Work& work : works_) {
      auto done = eval::compare(base_scorer_, scorer, work.document, work.windows, tally,
                                [&](std::size_t n) { progress.advance(n); });
      if (!done) return done;
    }
    return {};
  }

  void add_row(const std::string& policy, const eval::KlTally& tally) {
    const std::string text = works_.size() == 1 ? works_[0].document.place : std::to_string(works_.size()) + " records";
    nlohmann::ordered_json row{{"quant_policy", policy},
                               {"base_model", base_.variant.model},
                               {"base_precision", base_.variant.precision},
                               {"base_quant_policy", options_.base_policy},
                               {"text", text},
                               {"tokens", tally.tokens()},
                               {"mean_kl", number_or_null(tally.mean())},
                               {"median_kl", number_or_null(tally.percentile(0.5))},
                               {"p90_kl", number_or_null(tally.percentile(0.9))},
                               {"p99_kl", number_or_null(tally.percentile(0.99))},
                               {"max_kl", number_or_null(tally.percentile(1))},
                               {"same_top", number_or_null(tally.same_top())}};
    char begin[64];
    std::snprintf(begin, sizeof begin, "%-7s %9s", policy.c_str(), model::with_commas(tally.tokens()).c_str());
    figures_.add(std::move(row), begin + column(tally.mean(), 6, 11) + column(tally.percentile(0.5), 6, 10) +
                                     column(tally.percentile(0.9), 6, 10) + column(tally.percentile(0.99), 5, 10) +
                                     column(tally.percentile(1), 4, 9) + column(tally.same_top(), 4, 9));
  }

  const Options& options_;
  EvalModel base_;
  Figures& figures_;
  eval::Scorer base_scorer_;
  std::vector<Work> works_;
  std::uint32_t window_ = 0;
};

int kl(const Options& options) {
  EvalVariant variant = options.base;
  if (variant.model.empty()) variant.model = options.common->models.front();
  auto base = load_eval_model(variant, *options.common);
  if (!base) return fail(base.error().message);
  Figures figures(*options.common, "policy     tokens     mean KL    median      90 %      99 %   greatest same top");
  Comparison comparison(options, std::move(*base), figures);
  if (auto read = comparison.read_texts(); !read) return fail(read.error().message);
  const auto done = for_each_variant(*options.common, [&](EvalModel& model) { return comparison.add(model); });
  if (!done) return fail(done.error().message);
  return figures.finish();
}

constexpr const char* kFooter =
    "After each token both models say how likely every token is to come next. Measured is the Kullback-Leibler "
    "divergence\n"
    "of the model from the base, in nats: 0 where both say the same. It tells what a smaller quantisation, a KV cache "
    "of\n"
    "fewer bits or faster arithmetic costs, more finely than a perplexity does. Both must have the same tokens.\n"
    "\n"
    "mean KL … greatest  over all tokens of the text: their mean, median, 90th and 99th percentile, and the greatest\n"
    "same top            share of tokens after which both find the same one likeliest\n"
    "\n"
    "The base is the first --model unless --base names another file, with exact products and a cache of 16 bits. "
    "Windows are\n"
    "those of `eval perplexity`. Without --text a built-in text of about 1,000 tokens is read.\n"
    "\n"
    "Examples:\n"
    "  headwater eval kl --quant-policy 0,8,4\n"
    "  headwater eval kl --base model-Q8_0.gguf --model model-Q4_K_M.gguf --text book.txt --limit 20";

}  // namespace

void add_eval_kl(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("kl", "How far a model's answers are from another's");
  auto options = std::make_shared<Options>();
  command
      ->add_option_function<std::string>(
          "--base", [options](const std::string& name) { options->base.model = model_file(name); },
          "GGUF file, or the name of one, that the others are compared with; left out: the first --model")
      ->type_name("FILE");
  command->add_option("--base-precision", options->base.precision, "fast, balanced or exact, of the base")
      ->check(known_precisions())
      ->capture_default_str();
  command
      ->add_option_function<std::string>(
          "--base-quant-policy",
          [options](const std::string& name) {
            const auto policies = eval::parse_quant_policies(name);
            if (!policies) throw CLI::ValidationError("--base-quant-policy", policies.error().message);
            if (policies->size() != 1) throw CLI::ValidationError("--base-quant-policy", "expected one");
            options->base_policy = name;
          },
          "how the base's cache stores keys and values")
      ->default_str("0");
  command->add_option("--text", options->text, "a text, or records that end in .jsonl; left out: a built-in text")
      ->type_name("FILE");
  add_eval_options(*command, options->common);
  add_window_options(*command, options->windows, "the model's context, at most 2048");
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return kl(*options); }; });
}

}  // namespace headwater::tools
