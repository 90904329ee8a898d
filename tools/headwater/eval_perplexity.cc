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
  std::string text;
  std::uint32_t window = 0;
  std::uint32_t stride = 0;
  std::uint32_t limit = 0;
};

/// A document and what is measured of it.
struct Work {
  eval::Document document;
  std::vector<eval::Window> windows;
};

std::uint64_t rows_of(const std::vector<Work>& works) {
  std::uint64_t rows = 0;
  for (const Work& work : works) {
    for (const eval::Window& window : work.windows) rows += window.end - window.begin;
  }
  return rows;
}

Result<std::vector<eval::Document>> read_documents(const std::string& path, const model::Tokenizer& tokenizer) {
  const auto text = read_eval_file(path);
  if (!text) return text.error();
  if (path.ends_with(".jsonl")) return eval::record_documents(*text, path, tokenizer);
  auto document = eval::text_document(*text, path, tokenizer);
  if (!document) return document.error();
  return std::vector<eval::Document>{std::move(*document)};
}

Result<eval::WindowSizes> window_sizes(const Options& options, std::uint32_t context) {
  if (options.window > context) {
    return Error{ErrorCode::invalid_window,
                 "--window " + std::to_string(options.window) + " is beyond the model's " + std::to_string(context),
                 ""};
  }
  const std::uint32_t length = options.window > 0 ? options.window : context;
  if (options.stride > length) {
    return Error{ErrorCode::invalid_stride,
                 "--stride " + std::to_string(options.stride) + " is beyond the window's " + std::to_string(length),
                 ""};
  }
  return eval::WindowSizes{length, options.stride > 0 ? options.stride : std::max(length / 2, 1U)};
}

std::vector<Work> make_works(std::vector<eval::Document> documents, eval::WindowSizes sizes, std::uint32_t limit) {
  std::vector<Work> works;
  std::size_t left = limit > 0 ? limit : SIZE_MAX;
  for (eval::Document& document : documents) {
    if (left == 0) break;
    auto windows = eval::windows(document, sizes, left);
    left -= windows.size();
    works.push_back({std::move(document), std::move(windows)});
  }
  return works;
}

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

/// Measures every policy; rows for all texts together, for each, and the longest once more for the table.
Result<void> measure_all(const EvalOptions& options, model::Architecture& model, const std::vector<Work>& works,
                         std::uint32_t window, Figures& figures) {
  const auto progress = make_progress(rows_of(works) * options.policies.size(), "tokens");
  eval::Scorer scorer(model, [&](std::size_t n) { progress->advance(n); });
  const auto length = [](const Work& work) { return work.document.tokens.size(); };
  const auto longest = static_cast<std::size_t>(std::ranges::max_element(works, {}, length) - works.begin());
  const std::size_t room = std::min<std::size_t>(window, length(works[longest]) + 1);
  std::vector<eval::Likelihood> first;
  for (const eval::QuantPolicy& policy : options.policies) {
    progress->label("quant policy " + policy.name);
    scorer.reset(policy, room);
    std::vector<eval::Likelihood> each;
    for (const Work& work : works) {
      auto sums = eval::measure(scorer, work.document, work.windows);
      if (!sums) return sums.error();
      each.push_back(*sums);
    }
    if (first.empty()) first = each;
    progress->clear();
    eval::Likelihood all;
    eval::Likelihood all_first;
    for (std::size_t i = 0; i < works.size(); ++i) {
      all += each[i];
      all_first += first[i];
    }
    const std::string whole = works.size() == 1 ? works[0].document.place : std::to_string(works.size()) + " records";
    add_row(figures, policy.name, whole, all, all_first, true);
    for (std::size_t i = 0; works.size() > 1 && i < works.size(); ++i) {
      add_row(figures, policy.name, works[i].document.place, each[i], first[i], i == longest);
    }
  }
  return {};
}

int perplexity(const Options& options) {
  auto loaded = load_eval_model(*options.common);
  if (!loaded) return fail(loaded.error().message);
  const auto sizes = window_sizes(options, loaded->architecture->shape().context_length);
  if (!sizes) return fail(sizes.error().message);
  auto documents = read_documents(options.text, *loaded->tokenizer);
  if (!documents) return fail(documents.error().message);
  const std::vector<Work> works = make_works(std::move(*documents), *sizes, options.limit);
  Figures figures(*options.common,
                  "policy  text                        tokens   perplexity    ÷ first ÷ float32  top log-prob.");
  if (auto done = measure_all(*options.common, *loaded->architecture, works, sizes->length, figures); !done) {
    return fail(done.error().message);
  }
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
    "÷ first        perplexity divided by that of the first policy\n"
    "÷ float32      perplexity divided by the reference's, over the records that have one and are one window\n"
    "top log-prob.  mean absolute difference of the reference's best tokens' log-probabilities\n"
    "\n"
    "Examples:\n"
    "  headwater eval perplexity --text book.txt --window 2048 --limit 20\n"
    "  headwater eval perplexity --text tests/reference/data/smollm2/completions.jsonl --quant-policy 0 --json "
    "out.json";

}  // namespace

void add_eval_perplexity(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("perplexity", "How likely the model finds texts");
  auto options = std::make_shared<Options>();
  command->add_option("--text", options->text, "a text, or records that end in .jsonl")->required()->type_name("FILE");
  add_eval_options(*command, options->common);
  command->add_option("--window", options->window, "tokens that are computed together; 0: the model's context")
      ->check(CLI::IsMember({0}) | CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command->add_option("--stride", options->stride, "tokens from one window to the next; 0: half a window")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "windows in all, from the beginning; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return perplexity(*options); }; });
}

}  // namespace headwater::tools
