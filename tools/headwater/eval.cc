// headwater eval perplexity | mmlu | kl | kv

#include "tools/headwater/eval.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <utility>

#include "model/served_model.h"
#include "tools/headwater/model_path.h"

namespace headwater::tools {
namespace {

constexpr std::size_t kMaxFileBytes = 16 << 20;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

void add_eval_options(CLI::App& command, const std::shared_ptr<EvalOptions>& options) {
  command
      .add_option_function<std::vector<std::string>>(
          "-m,--model",
          [options](const std::vector<std::string>& names) {
            options->models.clear();
            for (const std::string& name : names) options->models.push_back(model_file(name));
          },
          "GGUF file, or the name of one that `model pull` fetched; several are compared with the first")
      ->take_all()
      ->allow_extra_args(false)
      ->default_str(kDefaultModel);
  command
      .add_option_function<std::string>(
          "--quant-policy",
          [options](const std::string& list) {
            auto policies = eval::parse_quant_policies(list);
            if (!policies) throw CLI::ValidationError("--quant-policy", policies.error().message);
            options->policies = std::move(*policies);
          },
          "how the cache stores keys and values, one after the other: 0 (16 bits), 8, 4, k8v4 (keys in 8 bits, values "
          "in 4); all are compared with the first")
      ->default_str("0");
  command
      .add_option(
          "--precision", options->precisions,
          "how weights are computed with, one after the other: fast, balanced (as they are), exact (as bfloat16)")
      ->delimiter(',')
      ->check(known_precisions())
      ->default_str("fast");
  add_pre_tokenizer(command, options->pre_tokenizer);
  add_threads(command, options->threads)->check(CLI::Range(0, 1024));
  command
      .add_option_function<std::string>(
          "--json",
          [options](const std::string& file) {
            options->json = true;
            options->json_file = file;
          },
          "an array of objects instead of the table, or beside it in FILE")
      ->type_name("[FILE]")
      ->expected(0, 1);
  add_trace(command);
}

std::vector<EvalVariant> variants(const EvalOptions& options) {
  std::vector<EvalVariant> all;
  for (const std::string& model : options.models) {
    for (const std::string& precision : options.precisions) all.push_back({model, precision});
  }
  return all;
}

Result<EvalModel> load_eval_model(const EvalVariant& variant, const EvalOptions& options) {
  auto file = open_model(variant.model);
  if (!file) return file.error();
  auto served = model::read_served_model(**file, {.pre_tokenizer = options.pre_tokenizer});
  if (!served) return served.error();
  auto loaded = model::Architecture::load(
      *file, kernels::make_cpu_backend(options.threads, precision_named(variant.precision)), 0, tell);
  if (!loaded) return loaded.error();
  return EvalModel{variant, std::move(served->tokenizer), std::move(*loaded)};
}

Result<void> for_each_variant(const EvalOptions& options, const std::function<Result<void>(EvalModel&)>& measure) {
  warn_of_threads(options.threads);
  for (const EvalVariant& variant : variants(options)) {
    auto loaded = load_eval_model(variant, options);
    if (!loaded) return loaded.error();
    if (auto measured = measure(*loaded); !measured) return measured;
  }
  return {};
}

Result<void> check_same_tokens(const EvalModel& first, const EvalModel& other) {
  const model::Tokenizer& a = *first.tokenizer;
  const model::Tokenizer& b = *other.tokenizer;
  bool same = a.vocab_size() == b.vocab_size();
  for (TokenId id = 0; same && a.valid(id); ++id) same = a.token_bytes(id) == b.token_bytes(id);
  if (same) return {};
  return Error{ErrorCode::invalid_model,
               other.variant.model + " has other tokens than " + first.variant.model +
                   ", so they cannot be compared token by token; measure each alone",
               ""};
}

Result<std::string> read_eval_file(const std::string& path) {
  auto text = read_file(path, kMaxFileBytes);
  if (text && text->size() > kMaxFileBytes) {
    return Error{ErrorCode::too_large, path + " has more than " + std::to_string(kMaxFileBytes) + " bytes; split it",
                 ""};
  }
  return text;
}

std::unique_ptr<eval::Progress> make_progress(std::uint64_t total, std::string unit) {
  return std::make_unique<eval::Progress>(std::cerr, isatty(STDERR_FILENO) != 0, total, std::move(unit), seconds);
}

Figures::Figures(const EvalOptions& options, const std::string& columns) : options_(options), columns_(columns) {}

void Figures::begin(const EvalVariant& variant) {
  variant_ = variant;
  if (!columns_.empty()) line(std::exchange(columns_, ""));
  if (variants(options_).size() > 1) line(variant.model + ", " + variant.precision);
}

void Figures::add(nlohmann::ordered_json row) {
  row["model"] = variant_.model;
  row["precision"] = variant_.precision;
  rows_.push_back(std::move(row));
}

void Figures::add(nlohmann::ordered_json row, const std::string& text) {
  add(std::move(row));
  line(text);
}

void Figures::line(const std::string& text) const {
  if (!options_.json || !options_.json_file.empty()) print(text + "\n");
}

int Figures::finish() const {
  if (!options_.json) return 0;
  const std::string text = rows_.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (options_.json_file.empty()) {
    print(text);
    return 0;
  }
  std::ofstream file(options_.json_file, std::ios::binary);
  file << text << std::flush;
  if (!file) return fail("cannot write " + options_.json_file + ": " + std::strerror(errno));
  return 0;
}

std::string column(std::optional<double> value, int digits, int width) {
  char text[64];
  if (value) {
    std::snprintf(text, sizeof text, " %*.*f", width, digits, *value);
  } else {
    std::snprintf(text, sizeof text, " %*s", width, "-");
  }
  return text;
}

nlohmann::ordered_json number_or_null(std::optional<double> value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

void add_eval(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("eval", "Measure how right models are, and in what they differ");
  command->require_subcommand(1);
  command->footer("Example: headwater eval perplexity --text book.txt --quant-policy 0");
  add_eval_perplexity(*command, action);
  add_eval_mmlu(*command, action);
  add_eval_kl(*command, action);
  add_eval_kv(*command, action);
}

}  // namespace headwater::tools
