// headwater eval kv

#include <algorithm>
#include <chrono>
#include <utility>

#include "tools/eval/decode_speed.h"
#include "tools/eval/exam.h"
#include "tools/eval/kv_room.h"
#include "tools/eval/long_context.h"
#include "tools/eval/sample_text.h"
#include "tools/headwater/eval.h"
#include "tools/headwater/kv_table.h"
#include "tools/headwater/questions.h"
#include "topology/values.h"

namespace headwater::tools {
namespace {

constexpr const char* kUsualPolicies = "0,8,k8v4,4";
constexpr std::uint32_t kUsualContext = 4096;
/// Of the built-in text, positions from here on are compared: short contexts flatter a format.
constexpr std::size_t kFirstPosition = 64;

struct Options {
  std::shared_ptr<EvalOptions> common = std::make_shared<EvalOptions>();
  std::string reference;
  std::string mmlu, mmlu_reference;
  std::uint32_t mmlu_limit = 0;
  std::string memory = "1GiB";
  eval::DecodeOptions decode{.context = 0};
  bool no_speed = false;
};

double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Measures models one after the other, each in all formats.
class Formats {
 public:
  Formats(const Options& options, std::vector<eval::Subject> subjects, Figures& figures)
      : options_(options),
        memory_(topology::parse_size(options.memory).value()),
        subjects_(std::move(subjects)),
        figures_(figures) {}

  Result<void> add(EvalModel& model) {
    if (auto chosen = choose_context(model.architecture->shape().context_length); !chosen) return chosen;
    std::vector<KvRow> rows;
    for (const eval::QuantPolicy& policy : options_.common->policies) {
      rows.push_back({policy, eval::kv_room(*model.architecture, policy.format, memory_), {}, {}});
    }
    if (auto read = read_texts(model, rows); !read) return read;
    if (auto asked = ask(model, rows); !asked) return asked;
    measure_speed(*model.architecture, rows);
    print(model.variant, rows);
    return {};
  }

 private:
  Result<void> choose_context(std::uint32_t longest) {
    decode_ = options_.decode;
    const std::uint32_t beside = decode_.steps + 1;
    if (decode_.context == 0) decode_.context = std::min(kUsualContext, longest - std::min(longest - 1, beside));
    if (options_.no_speed || std::uint64_t{decode_.context} + beside <= longest) return {};
    return Error{ErrorCode::invalid_window,
                 "--context " + std::to_string(decode_.context) + " and the " + std::to_string(beside) +
                     " tokens that are decoded are beyond the model's " + std::to_string(longest) +
                     "; give fewer, or --no-speed",
                 ""};
  }

  /// The reference's, or the built-in one with what the model says of it where its cache has 16 bits.
  Result<std::vector<eval::WatchedText>> texts(const EvalModel& model) {
    const model::ModelShape& shape = model.architecture->shape();
    if (!options_.reference.empty()) {
      const auto records = read_eval_file(options_.reference);
      if (!records) return records.error();
      return eval::read_watched_texts(*records, options_.reference, shape.vocab_size, shape.context_length);
    }
    const auto document = eval::text_document(eval::kSampleText, "the built-in text", *model.tokenizer);
    if (!document) return document.error();
    std::vector<eval::WatchedText> one{eval::watched_text(*document, shape.context_length)};
    eval::Scorer scorer(*model.architecture);
    scorer.reset({"0"}, one.front().tokens.size());
    if (auto watched = eval::watch(scorer, one.front(), kFirstPosition); !watched) return watched.error();
    return one;
  }

  Result<void> read_texts(const EvalModel& model, std::vector<KvRow>& rows) {
    const auto all = texts(model);
    if (!all) return all.error();
    std::size_t tokens = 0;
    std::size_t longest = 0;
    positions_ = 0;
    for (const eval::WatchedText& text : *all) {
      tokens += text.tokens.size();
      longest = std::max(longest, text.tokens.size());
      positions_ += text.watched.size();
    }
    const auto progress = make_progress(tokens * rows.size(), "tokens");
    eval::Scorer scorer(*model.architecture, [&](std::size_t n) { progress->advance(n); });
    for (KvRow& row : rows) {
      if (!row.room) continue;
      progress->label("texts, quant policy " + row.policy.name);
      scorer.reset(row.policy, longest);
      for (const eval::WatchedText& text : *all) {
        const auto measured = eval::measure(scorer, text);
        if (!measured) return measured.error();
        row.texts += *measured;
      }
    }
    return {};
  }

  Result<void> ask(const EvalModel& model, std::vector<KvRow>& rows) {
    if (options_.mmlu.empty()) return {};
    const auto exam =
        eval::Exam::make(subjects_, *model.tokenizer, model.architecture->shape().context_length, options_.mmlu_limit);
    if (!exam) return exam.error();
    too_long_ = exam->too_long();
    const auto progress = make_progress(exam->questions() * rows.size(), "questions");
    eval::Scorer scorer(*model.architecture);
    for (KvRow& row : rows) {
      if (!row.room) continue;
      progress->label("MMLU, quant policy " + row.policy.name);
      auto tally = exam->ask(scorer, row.policy, first_choices_, [&] { progress->advance(1); });
      if (!tally) return tally.error();
      row.mmlu = *tally;
    }
    return {};
  }

  void measure_speed(model::Architecture& model, std::vector<KvRow>& rows) const {
    if (options_.no_speed) return;
    std::vector<KvRow*> measured;
    std::vector<kernels::KvFormat> formats;
    for (KvRow& row : rows) {
      if (!row.room) continue;
      measured.push_back(&row);
      formats.push_back(row.policy.format);
    }
    const auto progress = make_progress(std::uint64_t{decode_.rounds} * formats.size(), "measurements");
    progress->label("decoding");
    auto speeds = eval::decode_speeds(model, formats, decode_, clock_seconds, [&] { progress->advance(1); });
    for (std::size_t i = 0; i < measured.size(); ++i) {
      std::ranges::sort(speeds[i]);
      measured[i]->speeds = std::move(speeds[i]);
    }
  }

  void print(const EvalVariant& variant, const std::vector<KvRow>& rows) {
    KvTable table;
    table.reference = options_.reference;
    table.positions = positions_;
    if (options_.reference.empty()) table.first_position = kFirstPosition;
    table.memory = options_.memory;
    table.memory_bytes = memory_;
    table.questions_too_long = too_long_;
    if (!options_.no_speed) table.decode = decode_;
    print_kv_table(table, variant, rows, figures_);
  }

  const Options& options_;
  std::uint64_t memory_;
  std::vector<eval::Subject> subjects_;
  Figures& figures_;
  eval::FirstChoices first_choices_;
  eval::DecodeOptions decode_;  ///< of the model at hand
  std::size_t positions_ = 0;   ///< likewise
  std::size_t too_long_ = 0;    ///< likewise: questions
};

int kv(const Options& options) {
  std::vector<eval::Subject> subjects;
  if (!options.mmlu.empty()) {
    auto read = read_questions(options.mmlu, options.mmlu_reference);
    if (!read) return fail(read.error().message);
    subjects = std::move(*read);
  }
  Figures figures(*options.common, "");
  Formats formats(options, std::move(subjects), figures);
  const auto done = for_each_variant(*options.common, [&](EvalModel& model) { return formats.add(model); });
  if (!done) return fail(done.error().message);
  return figures.finish();
}

constexpr const char* kFooter =
    "What each format of the KV cache costs and brings, for any model file. Short contexts flatter a format, so long "
    "ones\n"
    "are measured.\n"
    "\n"
    "log-prob.        mean absolute difference of the log-probabilities of the 10 likeliest tokens: from float32's "
    "where\n"
    "                 --reference has them, else from those of the same model with a cache of 16 bits, over a built-in "
    "text\n"
    "                 of about 1,000 tokens, after position 64 and all later ones\n"
    "perplexity       of the same texts; ÷ first: by that of the first row\n"
    "MMLU             where --mmlu has questions, as `eval mmlu` asks them: right ones, their share, and the shares "
    "of\n"
    "                 choices that are the first row's and float32's\n"
    "bytes a token    keys and values, in a long context; where layers see a window, the memory over the tokens in it\n"
    "tokens in …      of one long sequence in a cache of --memory; × first: by that of the first row\n"
    "tok/s            decoding one sequence with --context tokens in the cache; the formats take turns\n"
    "\n"
    "--reference is a file of records, a text a line: \"ids\" (its tokens), \"positions\", and for each of these the "
    "likeliest\n"
    "tokens in \"top10_ids\" and their log-probabilities in \"top10_logprobs\".\n"
    "\n"
    "Examples:\n"
    "  headwater eval kv --model qwen2.5-coder-0.5b\n"
    "  headwater eval kv --reference tests/reference/data/smollm2/positions.jsonl --mmlu tests/reference/data/mmlu \\\n"
    "    --mmlu-reference tests/reference/data/smollm2/mmlu.jsonl\n"
    "  headwater eval kv --quant-policy 0,4,4-nocentre --no-speed";

void add_questions(CLI::App& command, Options& options) {
  auto* data =
      command.add_option("--mmlu", options.mmlu, "multiple-choice questions, as `eval mmlu --data` takes them")
          ->type_name("DIR|FILE");
  command.add_option("--mmlu-reference", options.mmlu_reference, "what float32 chose, as `eval mmlu --reference`")
      ->type_name("FILE")
      ->needs(data);
  command.add_option("--mmlu-limit", options.mmlu_limit, "questions of each subject, from the first on; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->needs(data)
      ->capture_default_str();
}

void add_speed_options(CLI::App& command, Options& options) {
  command
      .add_option(
          "--context", options.decode.context,
          "tokens in the cache while one sequence is decoded; 0: 4096, or what the model's context has room for")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command.add_option("--rounds", options.decode.rounds, "measurements of each format's speed, in turns")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_flag("--no-speed", options.no_speed, "leave out how fast tokens are decoded");
}

}  // namespace

void add_eval_kv(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("kv", "What each format of the KV cache costs and brings");
  auto options = std::make_shared<Options>();
  options->common->policies = eval::parse_quant_policies(kUsualPolicies).value();
  add_eval_options(*command, options->common);
  command->get_option("--quant-policy")->default_str(kUsualPolicies);
  command->add_option("--reference", options->reference, "what float32 says of long contexts, see below")
      ->type_name("FILE");
  add_questions(*command, *options);
  command->add_option("--memory", options->memory, "a cache's size, to be filled with tokens: 512MiB, 24GB …")
      ->check([](const std::string& text) {
        const auto size = topology::parse_size(text);
        return size ? std::string() : size.error().message;
      })
      ->type_name("SIZE")
      ->capture_default_str();
  add_speed_options(*command, *options);
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return kv(*options); }; });
}

}  // namespace headwater::tools
